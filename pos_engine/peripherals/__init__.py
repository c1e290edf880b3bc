"""What a cardholder touches: card readers and PIN pads, behind two interfaces."""
