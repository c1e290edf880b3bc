"""Cryptography as pure functions: bytes in, bytes out. No clock, no files, no randomness of its own.

`cryptography` is the only foreign package in here. Anything random that an operation needs, a nonce or the filling of a
PIN block, comes in as an argument, so that every result can be checked against a published vector.
"""
