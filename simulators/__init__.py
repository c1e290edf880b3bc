"""The other end of the wire: an acquirer host with test cards and a ledger, which misbehaves on demand.

It is an independent judge of the engine: it shares formats and cryptography with `pos_engine`, never its decisions, and
never imports the terminal side. Everything here is for tests and demonstrations; no key and no card in it is worth
anything.
"""
