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


class PolicyRefusal(SumwiseError, PermissionError):  # noqa: N818  (a refusal is an outcome, not a fault)
    """A site declines to answer because the answer would disclose too much.  Names rule, figure and
    threshold.
    """
