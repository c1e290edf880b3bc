"""Tools that look into what went wrong, one module each; every one reads, and none changes anything."""
