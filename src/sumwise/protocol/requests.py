"""What a study asks of a site's rows, as the site's ledger keeps it: later studies are compared with it.

    "SUMQ" | u8 version | raw[32] study | raw[32] data | raw[32] model | integer rows, zero or more
           | items of text sites, in the order of their UTF-8 bytes

It stays at the site.
"""

from __future__ import annotations

from itertools import pairwise

from sumwise.disclosure.facts import Request
from sumwise.errors import ProtocolError
from sumwise.protocol import plain
from sumwise.protocol.study import Study
from sumwise.protocol.wire.codec import HASH_BYTES, Reader, Writer, digest
from sumwise.protocol.wire.fields import NAME

MAGIC, MODEL = b"SUMQ", b"SUMO"
VERSION = 1


def request_of(study: Study, data: bytes, rows: int) -> Request:
    """What a study asks.  data: the version of the site's data; rows: those that take part (`facts.row_set`)."""
    return Request(study.digest(), data, rows, frozenset(study.sites), model_digest(study))


def model_digest(study: Study) -> bytes:
    """Of formula, family, options and contract: two studies with the same one ask about the same columns."""
    to = Writer(MODEL)
    to.text(study.formula)
    to.text(study.family)
    plain.write(to, study.options.given())
    plain.write(to, dict(study.contract))
    return digest(to.done())


def encode(request: Request) -> bytes:
    """Raises ProtocolError for what is no request: digests of other lengths, names that no site can have."""
    to = Writer(MAGIC)
    to.u8(VERSION)
    for hashed in (request.study, request.data, request.model):
        to.raw(hashed, HASH_BYTES)
    if request.rows < 0:
        raise ProtocolError("cannot be written: rows is negative; it has a bit for each row")
    to.integer(request.rows)
    names = sorted(request.sites)
    _check_names(names)
    to.items(names, Writer.text)
    return to.done()


def decode(data: bytes) -> Request:
    """The request that encodes to exactly these bytes; ProtocolError if there is none."""
    of = Reader(data)
    of.magic(MAGIC, "request of a study")
    at, version = of.offset, of.u8()
    if version != VERSION:
        of.fail(f"a request in version {version}; this version of Sumwise reads {VERSION}", at)
    study, version_of_data, model = (of.raw(HASH_BYTES) for _ in range(3))
    at, rows = of.offset, of.integer()
    if rows < 0:
        of.fail("rows is negative; it has a bit for each row", at)
    names = of.items(Reader.text, 5)
    of.end()
    _check_names(names)
    return Request(study, version_of_data, rows, frozenset(names), model)


def _check_names(names: list[str] | tuple[str, ...]) -> None:
    if not names or not all(map(NAME.holds, names)) or not all(one < two for one, two in pairwise(names)):
        raise ProtocolError(f"sites are {names!r:.80}; they should be names, each once, in the order of their bytes")
