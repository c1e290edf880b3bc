"""Messages to bytes and back: the door through which the rest of the engine reaches a codec.

What a dialect's catalogue declares goes through functions of its own (`wire.compiled`); everything else, and everything
that is odd about a message, goes to the reference. Both keep the reference's contract: strict, and one kind of error
each way; a caller cannot tell which of them answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pos_engine.wire import compiled, reference

if TYPE_CHECKING:
    from pos_engine.wire.message import Message
    from pos_engine.wire.spec import MessageSpec

__all__ = ["decode", "encode"]


def decode(data: bytes, spec: MessageSpec) -> Message:
    """Read the bytes of one message; raises `DecodeError` with field, offset, MTI and what was read before it."""
    shapes = spec.shapes
    # Other buffers cannot be looked up in a dict; the reference takes them.
    if data.__class__ is bytes:
        read = shapes.decoders.get(data[shapes.head])
        if read is not None:
            message = read(data)
            if message is not None:
                return message
        elif not shapes.ready:
            compiled.prepare(spec)
            return decode(data, spec)
    return reference.decode(data, spec)


def encode(message: Message, spec: MessageSpec) -> bytes:
    """Build the bytes of a message; raises `LocalProtocolError` with the field that the spec forbids."""
    shapes = spec.shapes
    write = shapes.encoders.get(message._numbers)  # noqa: SLF001 - the public views of a message would be copies
    if write is not None:
        data = write(message.mti, message._values)  # noqa: SLF001 - the same
        if data is not None:
            return data
    elif not shapes.ready:
        compiled.prepare(spec)
        return encode(message, spec)
    return reference.encode(message, spec)
