"""Messages and bytes: specs as data, a strict codec, a walker for captures, masked rendering. Pure."""
