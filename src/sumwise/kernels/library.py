"""Finds and loads the compiled kernels; names their entry points.

The library holds every kernel once for each instruction-set level.  The best level of the processor is
taken at load time; all levels give the same bits, so `set_level` changes speed only (tests use it to prove
that).
"""

import ctypes
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS = 68
"""Digits of an exact sum (base 2^32, lowest place 2^-1074); the same constant stands in sums.hpp."""

INTERFACE = 11
"""Number of the interface between this package and the compiled library; raised when a signature changes."""

LEVELS = ("base", "v3", "v4")
"""Instruction-set levels: baseline, AVX2 with FMA, AVX-512."""

_POINTER, _INT = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "sw_interface": (_INT, []),
    "sw_best_level": (_INT, []),
    "sw_level": (_INT, []),
    "sw_set_level": (_INT, [_INT]),
    "sw_sum_add": (_INT, [_POINTER, _POINTER, _INT, _INT, _INT, _INT]),
    "sw_sum_merge": (_INT, [_POINTER, _POINTER, _INT]),
    "sw_sum_round": (_INT, [_POINTER, _POINTER, _INT]),
    "sw_keys": (None, [_POINTER, _INT, _POINTER]),
    "sw_slots": (_INT, [_POINTER, _INT, _INT, _POINTER, _POINTER, _POINTER, _POINTER, _INT, _POINTER]),
    "sw_spread": (None, [_POINTER, _INT, _POINTER, ctypes.c_double, _POINTER, _INT, _INT]),
    "sw_eliminate": (_INT, [_POINTER, _INT, ctypes.c_double, _POINTER]),
    "sw_solve_lower": (None, [_POINTER, _INT, _POINTER, _INT, _INT]),
    "sw_times": (None, [_POINTER, _POINTER, _INT, _INT, _INT, _POINTER]),
    "sw_exp": (None, [_POINTER, _POINTER, _INT]),
    "sw_log": (None, [_POINTER, _POINTER, _INT]),
    "sw_aghq": (_INT, [_POINTER, _POINTER, _INT, _INT, _POINTER]),
    "sw_vectors": (_INT, [_POINTER, _POINTER, _INT, _INT, _POINTER]),
    "sw_gram": (_INT, [_POINTER, _INT, _INT, _POINTER]),
    "sw_decimals_hold": (_INT, [_POINTER, _INT, _INT, _POINTER]),
    "sw_group_add": (_INT, [_POINTER, _POINTER, _INT, _INT, _POINTER]),
    "sw_group_round": (None, [_POINTER, _INT, _INT, _POINTER, _POINTER]),
    "sw_lmm_squeeze": (_INT, [_POINTER, _INT, _INT, _POINTER]),
    "sw_lmm_shrink": (_INT, [_POINTER, _POINTER, _INT, _INT, _POINTER]),
    "sw_glm": (_INT, [_POINTER, _POINTER, _INT, _INT, _POINTER, _POINTER]),
    "sw_fitted": (None, [_INT, _POINTER, _POINTER, _POINTER, _POINTER, _INT, _POINTER]),
    "sw_link": (None, [_INT, _POINTER, _POINTER, _POINTER, _POINTER, _INT, _POINTER]),
    "sw_combine": (None, [_POINTER, _POINTER, _POINTER, _INT, _INT, _INT, _POINTER, _INT]),
    "sw_components": (_INT, [_POINTER, _INT, _INT]),
    "sw_workspace_new": (_POINTER, []),
    "sw_workspace_free": (None, [_POINTER]),
    "sw_workspace_take": (_INT, [_POINTER, _INT, _INT, _INT]),
    "sw_schur_work": (_INT, [_POINTER, _INT, _POINTER]),
    "sw_schur_answer": (None, [_POINTER, _INT, _POINTER]),
    "sw_apply_inverse": (_INT, [_POINTER, _INT, _POINTER, _INT, _INT, _INT, _POINTER]),
    "sw_subtract_by_row": (None, [_POINTER, _POINTER, _POINTER, _INT, _POINTER, _INT, _INT, _POINTER]),
    "sw_subtract_by_scalar": (None, [_POINTER, _POINTER, _POINTER, _POINTER, _INT, _POINTER, _INT, _INT, _POINTER]),
    "sw_products_by_block": (None, [_POINTER, _POINTER, _POINTER, _INT, _INT, _POINTER]),
}


def _find() -> Path:
    """The library lies beside this file; in an editable install it lies where the installer recorded it."""
    beside = Path(__file__).with_name("_kernels.so")
    if beside.exists():
        return beside
    for file in metadata.files("sumwise") or []:
        if file.name == "_kernels.so":
            return Path(str(file.locate()))
    raise ImportError(f"the compiled kernels of sumwise are missing: no {beside}; install with 'pip install .'")


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_find()))
    if not hasattr(library, "sw_interface") or library.sw_interface() != INTERFACE:
        raise ImportError("the compiled kernels belong to another version of sumwise; install it again")
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


library = _load()


def level() -> str:
    """The instruction-set level in use."""
    return LEVELS[library.sw_level()]


def available_levels() -> tuple[str, ...]:
    """The levels that this processor can run, slowest first."""
    return LEVELS[: library.sw_best_level() + 1]


def set_level(name: str) -> None:
    """Use another level.  Raises ValueError if the processor lacks it."""
    if name not in available_levels():
        raise ValueError(f"level {name!r} does not run here; available: {', '.join(available_levels())}")
    library.sw_set_level(LEVELS.index(name))


def _elementwise(function: Callable[..., None], x: object) -> NDArray[np.float64]:
    values = np.asarray(x, dtype=np.float64, order="C")
    out = np.empty_like(values)
    function(values.ctypes.data, out.ctypes.data, values.size)
    return out


def exp(x: object) -> NDArray[np.float64]:
    """exp(x), elementwise, below 1 ulp, with the same bits on every processor (numpy's differ)."""
    return _elementwise(library.sw_exp, x)


def log(x: object) -> NDArray[np.float64]:
    """Natural logarithm, elementwise, below 1 ulp, with the same bits on every processor; -inf at 0, nan
    below.
    """
    return _elementwise(library.sw_log, x)
