"""The profiled log-likelihood of a linear mixed model, with exact derivatives.

    Q(theta) = [X y]' V^-1 [X y],  V = W^-1 + Z Lambda Lambda' Z',  y ~ N(X beta, sigma^2 V)

beta and sigma^2 maximise the likelihood, or the restricted one, at each theta in closed form [Bates et al. 2015]:

    beta = Qxx^-1 Qxy,   rss = Qyy - Qxy' beta,   sigma^2 = rss / nu,   nu = n (ML), n - p (REML)
    -2 loglik = log det V + [REML: log det Qxx] + nu (1 + log(2 pi sigma^2))
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum, pi

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import log
from sumwise.maths.cholesky import Factor, cholesky, times

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expansion:
    """A symmetric matrix or a number, and its derivatives in theta.

    value (...); first (m, ...); second (m, m, ...), None where it is not known.
    """

    value: Floats
    first: Floats
    second: Floats | None


@dataclass(frozen=True, slots=True)
class Profile:
    """At one theta.

    loglik; gradient (m,); information (m, m) = minus the Hessian, None where the second derivatives are not known;
    beta (p,); rss; nu; inverse (p, p): of Qxx; slopes (m, p, p): its derivatives.  joint (m + 1, m + 1): information of
    (theta, log sigma) at sigma^2 = rss / nu, None like the other; border (m,): its last row without the corner.
    """

    loglik: float
    gradient: Floats
    information: Floats | None
    beta: Floats
    rss: float
    nu: int
    inverse: Floats
    slopes: Floats
    border: Floats
    joint: Floats | None

    @property
    def sigma(self) -> float:
        """Residual standard deviation."""
        return float(np.sqrt(self.rss / self.nu))

    def with_information(self, information: Floats) -> Profile:
        """The same with an information found otherwise: the profile is what the joint one leaves when sigma follows."""
        m = len(information)
        joint = np.zeros((m + 1, m + 1))
        joint[:m, :m] = information + np.multiply.outer(self.border, self.border) / (2 * self.nu)
        joint[m, :m] = joint[:m, m] = self.border
        joint[m, m] = 2 * self.nu
        return replace(self, information=information, joint=joint)


def profile(log_det: Expansion, Q: Expansion, rows: int, log_weight: float, *, restricted: bool) -> Profile | None:
    """log_det: of V W; Q (p + 1, p + 1), the response last; log_weight: sum of log w; restricted: REML.

    None where Qxx is not positive definite, or rss not positive.
    """
    p, m = len(Q.value) - 1, len(Q.first)
    factor = cholesky(Q.value[:p, :p]) if p else Factor(np.zeros((0, 0)), np.zeros(0))
    if factor is None:
        return None
    beta = factor.solve(Q.value[:p, p])
    rss = fsum([Q.value[p, p], *(-Q.value[:p, p] * beta)])
    if not rss > 0:
        return None
    nu = rows - p if restricted else rows
    inverse, r = factor.inverse(), np.append(-beta, 1.0)
    moved = [times(D, r) for D in Q.first]  # dQ r
    rss_1 = np.array([_dot(r, v) for v in moved])
    bent = [times(D[:p, :p], inverse) for D in Q.first]  # dQxx Qxx^-1
    slope = log_det.first + (np.array([_trace(B) for B in bent]) if restricted and p else 0.0)
    two = float(log_det.value) - log_weight + nu * (1 + float(log(2 * pi * rss / nu)))
    if restricted and p:
        two += _log_det(factor)
    gradient = -(slope + nu * rss_1 / rss) / 2
    slopes = np.array([-times(inverse, B) for B in bent]).reshape(m, p, p)
    border = -nu * rss_1 / rss
    information = joint = None
    if Q.second is not None and log_det.second is not None:
        curve, rss_2 = log_det.second.copy(), np.zeros((m, m))
        for i in range(m):
            follow = factor.solve(moved[i][:p])
            for j in range(i + 1):
                rss_2[i, j] = rss_2[j, i] = _dot(r, times(Q.second[i, j], r)) - 2 * _dot(follow, moved[j][:p])
                if restricted and p:
                    own = fsum((Q.second[i, j][:p, :p] * inverse).ravel()) - fsum((bent[i] * bent[j].T).ravel())
                    curve[i, j] = curve[j, i] = log_det.second[i, j] + own
        information = (curve + nu * (rss_2 / rss - np.multiply.outer(rss_1, rss_1) / rss**2)) / 2
        joint = np.zeros((m + 1, m + 1))
        joint[:m, :m] = (curve + nu * rss_2 / rss) / 2
        joint[m, :m] = joint[:m, m] = border
        joint[m, m] = 2 * nu
    return Profile(-two / 2, gradient, information, beta, rss, nu, inverse, slopes, border, joint)


def _dot(a: Floats, b: Floats) -> float:
    return fsum(a * b)


def _trace(A: Floats) -> float:
    return fsum(np.diag(A))


def _log_det(factor: Factor) -> float:
    """Of the matrix: S A S = L L'."""
    return 2 * fsum([*log(np.diag(factor.L)), *(-log(factor.scale))])
