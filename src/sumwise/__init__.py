"""Sumwise: exact regression, wherever the rows live."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sumwise import datasets, simulate
    from sumwise.api import fit
    from sumwise.arrays.comparison import SolverComparison, compare_solvers
    from sumwise.arrays.condition import Conditioning, condition
    from sumwise.arrays.lstsq import LstsqResult, lstsq
    from sumwise.arrays.matrices import (
        FundamentalSubspaces,
        Projections,
        left_inverse,
        pinv,
        projections,
        rank,
        subspaces,
    )
    from sumwise.arrays.polynomial import PolynomialFit, polyfit
    from sumwise.errors import DataError, PolicyRefusal, SeparationError, SiteError, SumwiseError, UsageError
    from sumwise.results.fit import Fit
    from sumwise.results.glm import GlmFit
    from sumwise.results.linear import LinearFit
    from sumwise.results.mixed import MixedFit

__version__ = "0.1.0"

__all__ = [
    "Conditioning",
    "DataError",
    "Fit",
    "FundamentalSubspaces",
    "GlmFit",
    "LinearFit",
    "LstsqResult",
    "MixedFit",
    "PolicyRefusal",
    "PolynomialFit",
    "Projections",
    "SeparationError",
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

_HOMES = {
    "sumwise.api": ("fit",),
    "sumwise.arrays.comparison": ("SolverComparison", "compare_solvers"),
    "sumwise.arrays.condition": ("Conditioning", "condition"),
    "sumwise.arrays.lstsq": ("LstsqResult", "lstsq"),
    "sumwise.arrays.matrices": (
        "FundamentalSubspaces",
        "Projections",
        "left_inverse",
        "pinv",
        "projections",
        "rank",
        "subspaces",
    ),
    "sumwise.arrays.polynomial": ("PolynomialFit", "polyfit"),
    "sumwise.errors": ("DataError", "PolicyRefusal", "SeparationError", "SiteError", "SumwiseError", "UsageError"),
    "sumwise.results.fit": ("Fit",),
    "sumwise.results.glm": ("GlmFit",),
    "sumwise.results.linear": ("LinearFit",),
    "sumwise.results.mixed": ("MixedFit",),
}
"""Where the public names are defined.  They are imported when first asked for: pandas, pyarrow and scipy take a second
that `import sumwise` and `sumwise --help` need not pay."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in ("datasets", "inference", "simulate"):
        return import_module(f"sumwise.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sumwise' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
