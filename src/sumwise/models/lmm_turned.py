"""The effects of a term, turned so that they are uncorrelated over the rows and of size one.

With M = Z'WZ / n of a term's effects and T' M T = 1, T lower triangular, the effects Z T have Lambda = T Lambda_turned,
lower triangular too.  An origin far from the data (years) or other units then leave the ascent as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sumwise.maths import covariance
from sumwise.maths.cholesky import Factor, cholesky, first_dependence, times
from sumwise.models.lmm_checks import LEAST_PIVOT, Model
from sumwise.models.lmm_messages import Moments
from sumwise.models.refusals import refuse_collinear

Floats = NDArray[np.float64]


OBLIQUE = 0.05
"""Share of an effect's sum of squares that others leave it: below this the origin of the effects means nothing."""


@dataclass(frozen=True, slots=True)
class Turned:
    """J (m, m): theta = J theta_turned; inverse (m, m); start (m,): theta_turned to start from."""

    J: Floats
    inverse: Floats
    start: Floats

    def theta(self, turned: Floats) -> Floats:
        """In the user's effects."""
        return times(self.J, turned)

    def gradient(self, gradient: Floats) -> Floats:
        """J'g"""
        return times(self.J.T, gradient)

    def information(self, A: Floats) -> Floats:
        """J'A J"""
        return _symmetric(times(self.J.T, times(A, self.J)))

    def back(self, A: Floats) -> Floats:
        """J^-T A J^-1"""
        return _symmetric(times(self.inverse.T, times(A, self.inverse)))


def turn(moments: Moments, model: Model) -> Turned:
    """The start has effects with the variance of the residuals: independent as they are written, or as they are turned
    where they are oblique.   Raises DataError where the effects of a term are collinear.
    """
    blocks = tuple(len(term.effects) for term in model.terms)
    squares = moments.squares.round() / moments.rows
    mixed = iter([] if moments.mixed is None else (moments.mixed.round() / moments.rows).tolist())
    T, back, start = (np.zeros((len(squares), len(squares))) for _ in range(3))
    for (first, last), term in zip(pairwise(np.cumsum([0, *blocks]).tolist()), model.terms, strict=True):
        M = np.diag(squares[first:last])
        for i in range(last - first):
            for j in range(i if moments.mixed is not None else 0):
                M[i, j] = M[j, i] = next(mixed)
        found = first_dependence(M, LEAST_PIVOT)
        if found is not None:
            refuse_collinear(found, term.effects)
        factor = cholesky(M[::-1, ::-1])
        if factor is None:  # nearly collinear: units alone
            factor = Factor(np.eye(len(M)), 1 / np.sqrt(np.diag(M)[::-1]))
        root = (factor.L / factor.scale[:, None])[::-1, ::-1]  # M = root root', upper triangular
        T[first:last, first:last] = _inverse(root).T
        back[first:last, first:last] = root.T
        oblique = first_dependence(M, OBLIQUE) is not None
        start[first:last, first:last] = np.eye(len(M)) if oblique else root.T / np.sqrt(np.diag(M))
    theta = np.array([start[place] for place in covariance.entries(blocks)])
    return Turned(covariance.turning(T, blocks), covariance.turning(back, blocks), theta)


def _inverse(U: Floats) -> Floats:
    """Of an upper-triangular matrix (n, n)."""
    X = np.eye(len(U))
    for k in range(len(U) - 1, -1, -1):
        X[k] = X[k] / U[k, k]
        X[:k] -= np.multiply.outer(U[:k, k], X[k])
    return X


def _symmetric(A: Floats) -> Floats:
    return (A + A.T) / 2
