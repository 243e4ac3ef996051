"""Names of the families and links that families.hpp holds, and their log-likelihoods row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sumwise.kernels.library import library

Floats = NDArray[np.float64]

NUMBER = {
    ("binomial", "logit"): 0,
    ("binomial", "probit"): 1,
    ("binomial", "cloglog"): 2,
    ("poisson", "log"): 3,
    ("negbinomial", "log"): 4,
    ("gamma", "log"): 5,
    ("gamma", "inverse"): 6,
    ("inverse.gaussian", "log"): 7,
    ("inverse.gaussian", "1/mu^2"): 8,
}
"""(family, link) -> its number in the kernels: `with_family` in families.hpp."""

TERMS = ("l", "d1", "w", "d3", "d4")
"""What `terms` gives of a row: log-likelihood l, l', -l'', -l''', -l'''' in eta."""


def terms(family: str, link: str, eta: Floats, y: Floats, n: Floats | float = 1.0, aux: Floats | float = 1.0) -> Floats:
    """(5, rows): TERMS of each row.

    eta, y (rows,); n: trials of a binomial row, weight of any other; aux: size of the negative binomial, shape of the
    gamma, precision of the inverse gaussian.
    """
    columns = [np.array(a, dtype=np.float64) for a in np.broadcast_arrays(eta, y, n, aux)]
    out = np.empty((len(TERMS), columns[0].size))
    pointers = (column.ctypes.data for column in columns)
    library.sw_link(NUMBER[family, link], *pointers, columns[0].size, out.ctypes.data)
    return out
