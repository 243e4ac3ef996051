"""The plain values that a fit carries besides its estimates: one frozen record for each question a reader
may ask.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far to believe the fit.

    code: "converged"; "boundary": converged, a variance is zero at the maximum; "quadrature_limited": converged, but
    the quadrature is rough; "not_converged".  text: the same in words.  move: another step of Newton's
    method would move no estimate by more than this many standard errors.
    """

    code: str
    text: str
    move: float

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Quadrature:
    """The quadrature at the estimates.  nodes: order -> groups that used it; error: measured error of the
    total log-likelihood, the sum over groups of the difference to a rule of higher order; bound: what was
    asked for, None where the order was fixed by the caller.
    """

    nodes: dict[int, int]
    error: float
    bound: float | None

    def __str__(self) -> str:
        if self.bound is None and set(self.nodes) == {1}:
            orders = "Laplace's approximation (1 node)"
        else:
            (least, groups), *more = sorted(self.nodes.items())
            orders = f"{least} node{'s' if least > 1 else ''} in {groups} group{'s' if groups > 1 else ''}"
            orders += "".join(f", {order} in {n}" for order, n in more)
        measured = f"{orders}; measured error of the log-likelihood {self.error:.1e}"
        if self.bound is None:
            return measured
        if self.error <= self.bound:
            return f"{measured}, within the bound of {self.bound:.0e}"
        return f"{measured}, ABOVE the bound of {self.bound:.0e} (rounding, or groups that need still more nodes)"


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round.  asked: in words; numbers: how many sums came back from each site; bytes: their size as
    exact integers; seconds: None in a study, where people and mail take part; loglik: at the point asked for (None in
    the first round); move: how far the estimates could still move from the best point, in standard errors.
    """

    number: int
    asked: str
    numbers: int
    bytes: int
    seconds: float | None
    loglik: float | None
    move: float | None


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """Who is in the sum.  groups: None where the model has none; dropped: rows left out because a value was missing.
    None in a study for what the sites keep to themselves.
    """

    name: str
    rows: int | None
    groups: int | None
    dropped: int | None
