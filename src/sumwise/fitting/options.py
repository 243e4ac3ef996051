"""How a model is to be fitted: the arguments of fit() besides formula and data, checked."""

from __future__ import annotations

from dataclasses import dataclass

from sumwise.errors import UsageError
from sumwise.threads import check_threads

FAMILIES = ("gaussian", "binomial", "poisson", "gamma", "inverse.gaussian", "negbinomial")

ALIASES = {
    "Gamma": "gamma",
    "nb": "negbinomial",
    "negative.binomial": "negbinomial",
    "inverse_gaussian": "inverse.gaussian",
}
"""Other names of families."""

WEIGHTS_AS = ("precision", "frequency")


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
    link: str | None = None
    weights_as: str = "precision"
    size: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.family, str) and self.family in ALIASES:
            object.__setattr__(self, "family", ALIASES[self.family])
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
        if self.weights_as not in WEIGHTS_AS:
            raise UsageError(f"weights_as={self.weights_as!r}: one of {', '.join(map(repr, WEIGHTS_AS))}")
        if self.size is not None:
            number = isinstance(self.size, (int, float)) and not isinstance(self.size, bool)
            if not number or not 0 < self.size < float("inf"):
                raise UsageError(f"size={self.size!r}: the size of the negative binomial is a number above zero")
        if self.decimal not in (None, True, False):
            raise UsageError(f"decimal={self.decimal!r}: True, False or None")


def refuse_foreign(options: Options, link: str, *, method: bool = False) -> None:
    """Raises UsageError for options that belong to other models.  link: the only one there is here; method: whether
    there is a choice of it.
    """
    if options.link not in (None, link):
        raise UsageError(f"link={options.link!r} is not available here: this model has the link {link!r}")
    if options.weights_as != "precision":
        raise UsageError(f"weights_as={options.weights_as!r} belongs to generalized linear models")
    if options.size is not None:
        raise UsageError(f'size={options.size!r} belongs to family="negbinomial"')
    if not method:
        refuse_method(options)


def refuse_method(options: Options) -> None:
    """Raises UsageError where a method is asked of a model that has no choice of one."""
    if options.method is not None:
        raise UsageError(
            f"method={options.method!r} belongs to linear mixed models: a gaussian response and a term such as (1 | g)"
        )
