"""What stands around a terminal in a shop."""
