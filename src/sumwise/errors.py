"""What can go wrong, and whose move it is.

Every message says what is wrong, which column, group or site, how large, and what to do about it.
"""


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


class SiteError(SumwiseError, RuntimeError):
    """A site did not do its part: it is empty, lacks a column, answered late or not at all.  The site is
    named.
    """


class NothingNewError(SiteError):
    """Everybody did their part so far, and somebody else is waited for: no fault, but a reason to come back later."""


class PolicyRefusal(SumwiseError, PermissionError):  # noqa: N818  (a refusal is an outcome, not a fault)
    """A site declines to answer because the answer would disclose too much.  Names rule, figure and
    threshold.
    """


class ProtocolError(SumwiseError, ValueError):
    """A message that this version does not understand or trust: nothing of it was used.  Raised for values that no
    message can carry, too.  reason: what is wrong; offset: the byte where the reader found it, if there is one.
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason if offset is None else f"at byte {offset}: {reason}")
        self.reason = reason
        self.offset = offset
