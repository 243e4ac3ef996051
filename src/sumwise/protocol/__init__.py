"""A study across organisations, as pure functions on bytes and values: no files, sockets, clock or random numbers.

Reading order: wire/ with codec (bytes) -> payloads (questions and summands) -> messages (what coordinator and sites say
to each other, signed); then ledger (the hash chain of everything that left).
"""
