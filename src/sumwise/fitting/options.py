"""How a model is to be fitted: the arguments of fit() besides formula and data, checked."""

from __future__ import annotations

from dataclasses import dataclass

from sumwise.errors import UsageError
from sumwise.threads import check_threads

FAMILIES = ("gaussian", "binomial")


@dataclass(frozen=True, slots=True)
class Options:
    """See fit() for what each of them means.  Raises UsageError where one is out of range."""

    family: str = "gaussian"
    weights: str | None = None
    nodes: int | str = "auto"
    missing: str = "error"
    decimal: bool | None = None
    method: str | None = None
    threads: int | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise UsageError(f"family={self.family!r} is not available; available: {', '.join(map(repr, FAMILIES))}")
        check_threads(self.threads)
        if self.weights is not None and not isinstance(self.weights, str):
            raise UsageError(
                f'weights are a column of the data, named by a text, or an expression of columns such as "1 / sd^2"; '
                f"this is of type {type(self.weights).__name__}"
            )
        if self.method not in (None, "ML", "REML"):
            raise UsageError(f'method={self.method!r}: "REML" or "ML"')
        if self.decimal not in (None, True, False):
            raise UsageError(f"decimal={self.decimal!r}: True, False or None")


def refuse_method(options: Options) -> None:
    """Raises UsageError where a method is asked of a model that has no choice of one."""
    if options.method is not None:
        raise UsageError(
            f"method={options.method!r} belongs to linear mixed models: a gaussian response and a term such as (1 | g)"
        )
