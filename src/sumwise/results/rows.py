"""The rows that were fitted, which a fit does not keep: the table or the sites again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, DesignBlock, build, open_sites, parse
from sumwise.errors import DataError

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

Floats = NDArray[np.float64]


def fitted(fit: Fit, data: Any) -> tuple[dict[str, DesignBlock], pd.Index]:
    """The rows by site, and their labels: those of a frame, else numbers from 0, with the site if there are several.

    Raises DataError where `data` has other numbers of rows than were fitted.
    """
    formula, contract = parse(fit.formula), Contract.from_dict(fit.contract)
    drops = any(site.dropped for site in fit.site_records)
    missing = getattr(fit, "missing", "drop" if drops else "error")
    blocks = {
        name: build(formula, contract, source, missing=missing, family=fit.family)
        for name, source in open_sites(data, getattr(fit, "decimal", None)).items()
    }
    known = sum(site.rows or 0 for site in fit.site_records)
    n = sum(len(block.y) for block in blocks.values())
    if known and n != known:
        raise DataError(f"this is not the table that was fitted: it has {n} rows, not {known}")
    return blocks, labels(blocks, data)


def labels(blocks: dict[str, DesignBlock], data: Any) -> pd.Index:
    """Of the rows of the blocks, in order."""
    if len(blocks) == 1:
        (block,) = blocks.values()
        return data.index[block.kept] if isinstance(data, pd.DataFrame) else pd.Index(block.kept)
    found = [(name, row) for name, block in blocks.items() for row in block.kept.tolist()]
    return pd.MultiIndex.from_tuples(found, names=["site", "row"])
