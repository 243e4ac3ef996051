"""R's lm in plain Fractions: summary, log-likelihood, influence.  Exact until the one root or logarithm at the end.

Formulas: R's stats package, lm.R (summary.lm, logLik.lm) and lm.influence.R (rstandard, rstudent, cooks.distance,
dffits).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mpmath import mp, mpf

from tests.oracles.least_squares import Solution, solve


def number(value: Fraction) -> mpf:
    """The rational to 50 digits."""
    return mpf(value.numerator) / value.denominator


@dataclass(frozen=True)
class LinearModel:
    """X (n, p) with independent columns, y, w (n,) positive; about_mean: whether the model has an intercept."""

    X: list[list[Fraction]]
    y: list[Fraction]
    w: list[Fraction]
    about_mean: bool
    solution: Solution

    @classmethod
    def of(
        cls, X: Sequence[Sequence[float]], y: Sequence[float], w: Sequence[float] | None = None, *, about_mean: bool
    ) -> "LinearModel":
        weights = [1.0] * len(y) if w is None else w
        rows = [[Fraction(v) for v in row] for row in X]
        whole = [Fraction(v) for v in y], [Fraction(v) for v in weights]
        return cls(rows, *whole, about_mean, solve(X, y, weights))

    @property
    def df(self) -> int:
        return len(self.y) - self.solution.rank

    @property
    def sigma2(self) -> Fraction:
        return self.solution.rss / self.df

    def se(self) -> list[float]:
        with mp.workdps(50):
            return [float(mp.sqrt(number(self.solution.inverse[j][j] * self.sigma2))) for j in range(len(self.X[0]))]

    def tss(self) -> Fraction:
        total = sum(w * y * y for w, y in zip(self.w, self.y, strict=True))
        mean = sum(w * y for w, y in zip(self.w, self.y, strict=True)) / sum(self.w)
        return total - mean**2 * sum(self.w) if self.about_mean else total

    def r2(self) -> Fraction:
        return 1 - self.solution.rss / self.tss()

    def adjusted_r2(self) -> Fraction:
        return 1 - (self.solution.rss / self.df) / (self.tss() / (len(self.y) - self.about_mean))

    def f(self) -> Fraction:
        return (self.tss() - self.solution.rss) / (self.solution.rank - self.about_mean) / self.sigma2

    def loglik(self) -> float:
        """.5 * (sum(log(w)) - N * (log(2 * pi) + 1 - log(N) + log(sum(w * res^2))))"""
        n = len(self.y)
        with mp.workdps(50):
            logs = sum(mp.log(number(w)) for w in self.w)
            return float((logs - n * (mp.log(2 * mp.pi) + 1 - mp.log(n) + mp.log(number(self.solution.rss)))) / 2)

    def fitted(self, row: Sequence[Fraction]) -> Fraction:
        return sum((a * b for a, b in zip(row, self.solution.coef, strict=True)), Fraction(0))

    def quadratic(self, row: Sequence[Fraction]) -> Fraction:
        """x'(X'WX)^-1 x"""
        C = self.solution.inverse
        return sum((a * C[i][j] * b for i, a in enumerate(row) for j, b in enumerate(row)), Fraction(0))

    def influence(self) -> list[dict[str, float]]:
        """One row each: fitted, residual, leverage, standardized, studentized, cooks_distance, dffits."""
        out = []
        with mp.workdps(50):
            for row, y, w in zip(self.X, self.y, self.w, strict=True):
                r, h = y - self.fitted(row), w * self.quadratic(row)
                e, left = mp.sqrt(number(w)) * number(r), number(1 - h)
                standardized = e / mp.sqrt(number(self.sigma2) * left)
                others = (number(self.solution.rss) - e * e / left) / (self.df - 1)
                studentized = e / mp.sqrt(others * left)
                values = {
                    "fitted": number(self.fitted(row)),
                    "residual": number(r),
                    "leverage": number(h),
                    "standardized": standardized,
                    "studentized": studentized,
                    "cooks_distance": standardized**2 * number(h) / (left * self.solution.rank),
                    "dffits": studentized * mp.sqrt(number(h) / left),
                }
                out.append({name: float(value) for name, value in values.items()})
        return out
