"""Where a model with vectors of random effects starts, and the centring of its columns.

Columns of X are centred where there is an intercept to take the shift up, columns of Z where their block has one:

    z'Lambda = (z - c)'Lambda~,   Lambda~ = Lambda, with c_k times row k added to the intercept's row for each k

which has the covariance of the centred columns' effects, and is made triangular by a rotation of its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import log
from sumwise.kernels.vectors import WITH_AUX
from sumwise.maths import covariance
from sumwise.maths.elementary import log1p
from sumwise.models.glmm_vectors_messages import VectorMoments

Floats = NDArray[np.float64]

STARTING_SD = 0.5
"""Standard deviation that each effect's term starts with, on the scale of the linear predictor."""

INTERCEPT = "(Intercept)"


@dataclass(frozen=True, slots=True)
class Units:
    """centre (p + q,): what is taken from the columns of X and Z; intercept: its place among those of X, None where
    there is none; blocks: sizes of the independent terms.
    """

    centre: Floats
    intercept: int | None
    blocks: tuple[int, ...]

    @classmethod
    def of(
        cls, columns: tuple[str, ...], effects: tuple[str, ...], blocks: tuple[int, ...], moments: VectorMoments
    ) -> Units:
        """Means of the columns, but zero for intercepts and where there is none."""
        x, z = moments.columns.round() / moments.rows, moments.effects.round()[0] / moments.rows
        if INTERCEPT not in columns:
            x = np.zeros(len(x))
        at = 0
        for size in blocks:
            if INTERCEPT not in effects[at : at + size]:
                z[at : at + size] = 0.0
            at += size
        for names, values in ((columns, x), (effects, z)):
            for k, name in enumerate(names):
                values[k] = 0.0 if name == INTERCEPT else values[k]
        where = columns.index(INTERCEPT) if INTERCEPT in columns else None
        return cls(np.concatenate([x, z]), where, blocks)

    def uncentre(self, phi: Floats, vcov: Floats) -> tuple[Floats, Floats]:
        """Parameters (beta, theta, log aux), (P,), and their covariance (P, P), for the user's columns."""
        m, q = covariance.size(self.blocks), sum(self.blocks)
        p = len(self.centre) - q
        theta, back = uncentred_theta(phi[p : p + m], self.blocks, self.centre[p:])
        out, J = phi.copy(), np.eye(len(phi))
        out[p : p + m] = theta
        J[p : p + m, p : p + m] = back
        if self.intercept is not None:
            out[self.intercept] -= fsum(self.centre[:p] * phi[:p])
            J[self.intercept, :p] -= self.centre[:p]
        known = ~np.isnan(np.diag(vcov))
        filled = np.where(np.multiply.outer(known, known), vcov, 0.0)
        V = np.zeros_like(filled)
        for k in range(len(J)):
            V += np.multiply.outer(J[:, k], filled[k])
        W = np.zeros_like(filled)
        for k in range(len(J)):
            W += np.multiply.outer(V[:, k], J[:, k])
        W[~known, :] = np.nan
        W[:, ~known] = np.nan
        return out, (W + W.T) / 2


def uncentred_theta(theta: Floats, blocks: tuple[int, ...], centre: Floats) -> tuple[Floats, Floats]:
    """theta (m,) for the columns as they are, from theta for the columns less `centre` (q,), and its derivative (m, m).

    With M the factor whose intercept's row has had c_k times row k taken off, and L = M Q triangular, Q a rotation:
    dL = dM Q + L A, A antisymmetric, such that dL vanishes where L does above the first entries of its columns.
    """
    out, J = theta.copy(), np.eye(len(theta))
    at = first = 0
    for size in blocks:
        own = slice(first, first + size * (size + 1) // 2)
        shift = centre[at : at + size]
        if np.any(shift != 0):
            row = int(np.flatnonzero(shift == 0)[0])
            out[own], J[own, own] = _uncentred_block(theta[own], size, shift, row)
        at, first = at + size, own.stop
    return out, J


def _uncentred_block(theta: Floats, size: int, shift: Floats, row: int) -> tuple[Floats, Floats]:
    def moved(M: Floats) -> Floats:
        M = M.copy()
        for k in range(size):
            M[row] -= shift[k] * M[k]
        return M

    M, L, Q = moved(covariance.factor(theta, (size,))), np.zeros((size, size)), np.eye(size)
    L = M.copy()
    pivots: list[int] = []
    for r in range(size):  # Givens rotations of columns: zeros right of each pivot
        c = len(pivots)
        for other in range(c + 1, size):
            if L[r, other] == 0:
                continue
            length = sqrt(L[r, c] * L[r, c] + L[r, other] * L[r, other])
            cosine, sine = L[r, c] / length, L[r, other] / length
            for N in (L, Q):
                N[:, c], N[:, other] = cosine * N[:, c] + sine * N[:, other], cosine * N[:, other] - sine * N[:, c]
            L[r, other] = 0.0
        if c < size and L[r, c] != 0:
            if L[r, c] < 0:
                L[:, c], Q[:, c] = -L[:, c], -Q[:, c]
            pivots.append(r)
    L += 0.0
    places = covariance.entries((size,))
    J = np.zeros((len(places), len(places)))
    for t, place in enumerate(places):
        unit = np.zeros((size, size))
        unit[place] = 1.0
        moved_unit, D = moved(unit), np.zeros((size, size))
        for k in range(size):
            D += np.multiply.outer(moved_unit[:, k], Q[k])
        A = np.zeros((size, size))
        for j in range(len(pivots)):
            for k in range(j):
                r = pivots[k]
                A[k, j] = -(D[r, j] + fsum(L[r, :k] * A[:k, j])) / L[r, k]
                A[j, k] = -A[k, j]
        for k in range(size):
            D += np.multiply.outer(L[:, k], A[k])
        J[:, t] = [D[i] for i in places]
    return np.array([L[i] for i in places]), J


def starting_point(
    moments: VectorMoments,
    columns: tuple[str, ...],
    effects: tuple[str, ...],
    blocks: tuple[int, ...],
    family: str,
    link: str,
) -> Floats:
    """(beta, log aux, theta) on centred columns: the mean in the intercept, no slopes, effects of a middling size in
    each column of Z.
    """
    total, trials, scale = moments.totals.round()[:3]
    beta = np.zeros(len(columns))
    if INTERCEPT in columns:
        mean = total / (trials if family == "binomial" else scale)
        beta[columns.index(INTERCEPT)] = _link(float(mean), link)
    units = Units.of(columns, effects, blocks, moments)
    mean_square, centre = moments.effects.round()[1] / moments.rows, units.centre[len(columns) :]
    spread = mean_square - centre * centre
    spread = np.where(spread > 1e-12 * mean_square, spread, mean_square)
    size = STARTING_SD / np.sqrt(np.where(spread > 0, spread, 1.0))
    theta = [size[row] if row == column else 0.0 for row, column in covariance.entries(blocks)]
    return np.concatenate([beta, np.zeros(int(family in WITH_AUX)), theta])


def _link(mean: float, link: str) -> float:
    if link == "log":
        return float(log(mean))
    logit = float(log(mean / (1 - mean)))
    if link == "cloglog":
        return float(log(-log1p(np.array(-mean))))
    return logit * sqrt(3) / np.pi if link == "probit" else logit  # the logistic's standard deviation: near enough
