"""Sumwise: exact regression, wherever the rows live."""

from sumwise import datasets, simulate
from sumwise.api import fit
from sumwise.errors import DataError, PolicyRefusal, SiteError, SumwiseError, UsageError
from sumwise.results.fit import Fit

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "Fit",
    "PolicyRefusal",
    "SiteError",
    "SumwiseError",
    "UsageError",
    "datasets",
    "fit",
    "simulate",
]
