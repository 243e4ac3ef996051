"""What can go wrong, and whose move it is.

Every message says what is wrong, which column, group or site, how large, and what to do about it.
"""

import re


def shown(value: object, most: int = 60) -> str:
    """A value of somebody else's for a message: as Python spells it, cut off after so many characters.

    Nothing of it reaches a terminal as it is, and no value is too large or too deep.
    """
    try:
        return f"{value!r:.{most}}"
    except (ValueError, RecursionError):  # Python spells no whole number of more than 4,300 digits
        return f"too large to show, of type {type(value).__name__}"


def shown_key(key: str) -> str:
    """A key of somebody else's table for a message: as it is where TOML takes it without quotes."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", key) else shown(key)


class SumwiseError(Exception):
    """Root of every error that Sumwise raises on purpose."""


class UsageError(SumwiseError, ValueError):
    """The call is wrong: an unknown family, a malformed formula, an option out of range.  The caller
    changes the call.
    """


class DataError(SumwiseError, ValueError):
    """The rows do not fit the model: a missing value, a constant column, separation.  The caller changes
    data or model.
    """


class SeparationError(DataError):
    """Columns predict the responses perfectly, so that the maximum lies at infinity: no coefficient is finite."""


class SiteError(SumwiseError, RuntimeError):
    """A site did not do its part: it is empty, lacks a column, answered late or not at all.  The site is
    named.
    """


class NothingNewError(SiteError):
    """Everybody did their part so far, and somebody else is waited for: no fault, but a reason to come back later."""


class PolicyRefusal(SumwiseError, PermissionError):  # noqa: N818  (a refusal is an outcome, not a fault)
    """A site's policy declines to answer because the answer would disclose too much.  Raised at that site alone: names
    rule, figure and threshold.
    """


class ProtocolError(SumwiseError, ValueError):
    """A message that this version does not understand or trust: nothing of it was used.  Raised for values that no
    message can carry, too.  reason: what is wrong; offset: the byte where the reader found it, if there is one.
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason if offset is None else f"at byte {offset}: {reason}")
        self.reason = reason
        self.offset = offset
