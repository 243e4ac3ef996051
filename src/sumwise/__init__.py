"""Sumwise: exact regression, wherever the rows live."""

from sumwise import datasets, simulate
from sumwise.api import fit
from sumwise.arrays.comparison import SolverComparison, compare_solvers
from sumwise.arrays.condition import Conditioning, condition
from sumwise.arrays.lstsq import LstsqResult, lstsq
from sumwise.arrays.matrices import FundamentalSubspaces, Projections, left_inverse, pinv, projections, rank, subspaces
from sumwise.arrays.polynomial import PolynomialFit, polyfit
from sumwise.errors import DataError, PolicyRefusal, SiteError, SumwiseError, UsageError
from sumwise.results.fit import Fit
from sumwise.results.linear import LinearFit
from sumwise.results.mixed import MixedFit

__version__ = "0.1.0"

__all__ = [
    "Conditioning",
    "DataError",
    "Fit",
    "FundamentalSubspaces",
    "LinearFit",
    "LstsqResult",
    "MixedFit",
    "PolicyRefusal",
    "PolynomialFit",
    "Projections",
    "SiteError",
    "SolverComparison",
    "SumwiseError",
    "UsageError",
    "compare_solvers",
    "condition",
    "datasets",
    "fit",
    "left_inverse",
    "lstsq",
    "pinv",
    "polyfit",
    "projections",
    "rank",
    "simulate",
    "subspaces",
]
