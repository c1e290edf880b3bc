"""A whole shop in one process and on one seed: terminal, line, host, disk and clock, and everything that goes wrong."""
