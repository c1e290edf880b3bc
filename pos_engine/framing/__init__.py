"""Framing: where a message begins and ends on a link, and whom it is addressed to. Pure: bytes in, frames out."""
