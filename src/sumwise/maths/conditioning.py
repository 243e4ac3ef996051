"""How far a least-squares answer can be believed: condition numbers, distance to rank deficiency, data-limited digits.

Spectral norms are largest eigenvalues of X'WX and of its pseudo-inverse, each computed exactly and rounded once, so
that kappa = sqrt(|X'WX| |(X'WX)^+|) is good to about 13 digits whatever its size.  With weights, A stands for W^1/2 X.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from flint import fmpq
from numpy.typing import NDArray

from sumwise.errors import DataError
from sumwise.maths.gram import Gram
from sumwise.maths.least_squares import LeastSquares
from sumwise.maths.normal_equations import NormalEquations
from sumwise.maths.rounding import nearest, nearest_root

Floats = NDArray[np.float64]

MOST_DIGITS = 15.95
"""-log10 of half the spacing of float64 above 1: more digits than these a float64 does not hold."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Condition of a matrix A (n, p) of rank r, singular values s_1 >= ... >= s_p, and of min |b - A x| if b was given.

    norm, norm_inverse: |A| = s_1 and |A+| = 1/s_r (2-norms).
    kappa: s_1 / s_p, inf if the rank is below p.   kappa_effective: s_1 / s_r.
    kappa_scaled: kappa after scaling the columns to length 1.   kappa_normal: of A'A, kappa^2.
    distance: s_p, the 2-norm of the smallest change that makes columns dependent.   relative_distance: s_p / s_1.
    theta: angle between b and the columns, radians.   eta: |A| |x| / |A x|, between 1 and kappa.
    y_to_rhs, x_to_rhs, y_to_matrix, x_to_matrix: relative change of the fit y = A x and of x over a small relative
    change of b and of A: 1 / cos(theta), kappa / (eta cos(theta)), kappa / cos(theta) and
    kappa + kappa^2 tan(theta) / eta, the last two upper bounds [Trefethen & Bau 1997, theorem 18.1].  nan without b.
    A number beyond the largest float64 is inf.
    """

    rank: int
    norm: float
    norm_inverse: float
    kappa: float
    kappa_effective: float
    kappa_scaled: float
    kappa_normal: float
    distance: float
    relative_distance: float
    theta: float = math.nan
    eta: float = math.nan
    y_to_rhs: float = math.nan
    x_to_rhs: float = math.nan
    y_to_matrix: float = math.nan
    x_to_matrix: float = math.nan


def condition(fit: LeastSquares, response: int | None = None) -> Condition:
    """The condition of the design, and of the least-squares problem with this response (0..k-1)."""
    e = fit.equations
    G, gram_exponent = _scaled_gram(e)
    H, inverse_exponent = fit.scaled_inverse
    norm, norm_inverse = _root_norm(G, gram_exponent), _root_norm(H, inverse_exponent)
    effective = _times(norm, norm_inverse)
    full = fit.rank == fit.p
    kappa = effective if full else math.inf
    scaled = _scaled_kappa(G, gram_exponent, H, inverse_exponent) if full else math.inf
    matrix = Condition(
        rank=fit.rank,
        norm=_value(norm),
        norm_inverse=_value(norm_inverse),
        kappa=kappa,
        kappa_effective=effective,
        kappa_scaled=scaled,
        kappa_normal=kappa * kappa,
        distance=_over(norm_inverse) if full else 0.0,
        relative_distance=1 / kappa if kappa else math.nan,
    )
    return matrix if response is None else _with_response(matrix, fit, response)


def matrix_condition(A: Floats) -> Condition:
    """The condition of a matrix (n, p).  One with more columns than rows is transposed first: its singular values are
    those of its transpose, and kappa_scaled scales its rows.  Raises DataError for an empty matrix.
    """
    if not A.size:
        raise DataError(f"an empty matrix ({A.shape[0]} x {A.shape[1]}) has no condition number")
    X = A if A.shape[0] >= A.shape[1] else A.T
    columns = [np.ascontiguousarray(column) for column in X.T]
    return condition(LeastSquares(Gram.of(columns), range(len(columns)), ()))


def spectral_norm(A: Floats) -> float:
    """|A|, the largest singular value of A (n, p)."""
    X = A if A.shape[0] >= A.shape[1] else A.T
    if not X.size:
        return 0.0
    columns = [np.ascontiguousarray(column) for column in X.T]
    return _value(_root_norm(*_scaled_gram(NormalEquations(Gram.of(columns), range(len(columns))))))


def data_limits(
    fit: LeastSquares, column_errors: Sequence[float] | Floats, response_error: float, response: int = 0
) -> Floats:
    """(p,): bound on the change of each coefficient when column j carries an error of
    2-norm at most column_errors[j], and the response one of response_error; nan where not estimable.

    With H = (X'WX)^+ and the residual r, to first order  d b = X+ (dy - dX b) + H dX' r,  so by Cauchy-Schwarz

        |d b_k| <= sqrt(H_kk) (e_y + sum_j e_j |b_j|) + |r| sum_j |H_kj| e_j.

    With weights the norms are weighted: sqrt(sum_r w_r error_r^2).
    """
    M, exponent = fit.scaled_inverse
    errors = np.asarray(column_errors, dtype=np.float64)
    b = fit.coef[:, response]
    residual = float(fit.sigma[response]) * math.sqrt(fit.df) if fit.df else 0.0
    direct = np.sqrt(np.diag(M)) * (response_error + float(np.sum(errors * np.abs(b))))
    with np.errstate(over="ignore"):
        indirect = residual * np.sum(np.abs(M) * np.ldexp(errors, exponent), axis=1)
        return np.where(fit.estimable, np.ldexp(direct + indirect, exponent), np.nan)


def surviving(error: Floats, estimate: Floats) -> Floats:
    """Digits that errors of this size leave: -log10(|error| / |estimate|), between 0 and 15.95; nan where either is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = np.log10(np.abs(estimate)) - np.log10(error)
    digits = np.where(error == 0, MOST_DIGITS, np.where(np.isnan(digits), 0.0, digits))
    return np.where(np.isnan(error) | np.isnan(estimate), np.nan, np.clip(digits, 0.0, MOST_DIGITS))


def relative_data_limits(fit: LeastSquares, delta: float, response: int = 0) -> Floats:
    """The same when every number of columns and response carries a relative error of at most delta."""
    errors = [delta * _length(fit.equations, c) for c in fit.equations.columns]
    return data_limits(fit, errors, delta * _length(fit.equations, fit.responses[response]), response)


def _with_response(matrix: Condition, fit: LeastSquares, k: int) -> Condition:
    length = _length(fit.equations, fit.responses[k])
    if not length:
        return matrix  # no angle to a response that is zero
    sine, cosine = math.sqrt(fit.residual_share[k]), math.sqrt(fit.fitted_share[k])
    eta = matrix.norm * math.hypot(*fit.coef[:, k].tolist()) / (length * cosine) if cosine else math.nan
    kappa, secant = matrix.kappa, 1 / cosine if cosine else math.inf
    return replace(
        matrix,
        theta=math.atan2(sine, cosine),
        eta=eta,
        y_to_rhs=secant,
        x_to_rhs=matrix.kappa_effective * secant / eta,  # for a fixed matrix the lost directions do not matter
        y_to_matrix=kappa * secant,
        x_to_matrix=kappa + (kappa * kappa * sine * secant / eta if sine else 0.0),
    )


def _scaled_gram(e: NormalEquations) -> tuple[Floats, NDArray[np.int64]]:
    """(M, e): X'WX_ij = M_ij 2^(e_i + e_j), M with a diagonal of about 1 (or 0)."""
    diagonal = [e.square(c) for c in e.columns]
    exponent = [(d.p.bit_length() - d.q.bit_length()) // 2 if d else 0 for d in diagonal]
    unit = [u * fmpq(2) ** -x for u, x in zip(e.unit, exponent, strict=True)]
    M = np.zeros((e.p, e.p))
    for i, row in enumerate(e.whole.tolist()):
        for j in range(i + 1):
            M[i, j] = M[j, i] = nearest(row[j] * unit[i] * unit[j] * e.weight)
    return M, np.array(exponent, dtype=np.int64)


def _root_norm(M: Floats, exponent: NDArray[np.int64]) -> tuple[float, int]:
    """(s, e): s 2^e is the root of the largest eigenvalue of M_ij 2^(e_i + e_j)."""
    used = exponent[np.diag(M) > 0]
    if not len(used):
        return 0.0, 0
    top = int(used.max())
    low = np.maximum(exponent - top, -2000)  # below that all is 0 beside the largest
    largest = np.linalg.eigvalsh(np.ldexp(M, low[:, None] + low))[-1]
    return math.sqrt(largest), top


def _scaled_kappa(G: Floats, g: NDArray[np.int64], H: Floats, h: NDArray[np.int64]) -> float:
    """kappa of the matrix with columns scaled to length 1: D^-1 G D^-1 and D H D with D the columns' lengths."""
    length = np.sqrt(np.diag(G))
    unit, zero = G / np.multiply.outer(length, length), np.zeros(len(G), dtype=np.int64)
    return _times(_root_norm(unit, zero), _root_norm(H * np.multiply.outer(length, length), g + h))


def _length(e: NormalEquations, place: int) -> float:
    """The (weighted) 2-norm of a column of the Gram."""
    try:
        return nearest_root(e.square(place))
    except OverflowError:
        return math.inf


def _value(number: tuple[float, int]) -> float:
    try:
        return math.ldexp(*number)
    except OverflowError:
        return math.inf


def _over(number: tuple[float, int]) -> float:
    return _value((1 / number[0], -number[1])) if number[0] else math.nan


def _times(a: tuple[float, int], b: tuple[float, int]) -> float:
    return _value((a[0] * b[0], a[1] + b[1]))
