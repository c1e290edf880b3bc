"""Transports: the ways bytes reach the acquirer. Each is a `Stream` of `pos_engine.transport.base`."""
