"""The proof: campaigns that try by the thousand to make a terminal lose or double money, and count what they tried."""
