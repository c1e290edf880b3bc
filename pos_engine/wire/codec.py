"""Messages to bytes and back: the door through which the rest of the engine reaches a codec.

Today there is one implementation, the reference. Callers import this module, so that a faster one can be chosen here
without their knowing; both keep the reference's contract: strict, and one kind of error each way.
"""

from __future__ import annotations

from pos_engine.wire.reference import decode, encode

__all__ = ["decode", "encode"]
