"""The judge: reads what could be seen of a terminal's life and says which invariants did not hold."""
