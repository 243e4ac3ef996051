"""Data sets that ship with Sumwise; README.md in this folder gives columns, units, sources and checksums."""

from pathlib import Path
from urllib.parse import quote

import pandas as pd
from pyarrow import csv

from sumwise.errors import DataError, UsageError

# Levels of the categorical columns in reference-first order, as the R packages have them.
LEVELS: dict[str, dict[str, list[int] | list[str]]] = {
    "bloodpress": {},
    "cbpp": {"period": [1, 2, 3, 4]},
    "contraception": {"urban": ["N", "Y"], "livch": ["0", "1", "2", "3plus"]},
    "epil": {"trt": ["placebo", "progabide"]},
    "sleepstudy": {},
    "toenail": {"treatment": ["itraconazole", "terbinafine"]},
}


def names() -> list[str]:
    """Names that `load` and `path` accept."""
    return sorted(LEVELS)


def path(name: str) -> Path:
    """The CSV file of a data set.  Raises UsageError for an unknown name."""
    if name not in LEVELS:
        raise UsageError(f"There is no data set {name!r}.  Sumwise ships: {', '.join(names())}.")
    return Path(__file__).with_name(f"{name}.csv")


def load(name: str) -> pd.DataFrame:
    """A data set as a pandas frame; factors are categorical with their reference level first.

    Raises UsageError for an unknown name.
    """
    # Arrow's reader rounds decimals correctly in every version; the default of older pandas does not.
    frame: pd.DataFrame = csv.read_csv(path(name)).to_pandas()
    for column, levels in LEVELS[name].items():
        frame[column] = pd.Categorical(frame[column], categories=levels)
    return frame


def write_sites(frame: pd.DataFrame, by: str, folder: Path | str) -> dict[str, Path]:
    """Deal rows to sites by the levels of column `by`: one CSV file a site, all columns kept.

    Returns {site: path}, sites in the order of their levels: herd 3 is site "herd-3" in folder/herd-3.csv.
    Characters that a file name cannot carry are percent-encoded.  Floats are written so that they read back
    to the same bits.  Raises UsageError where the column does not exist or two levels have one text,
    DataError where it has missing values: such a row would belong to no site.
    """
    if by not in frame.columns:
        raise UsageError(f"There is no column {by!r} to deal rows by.  Columns: {', '.join(map(str, frame))}.")
    missing = int(frame[by].isna().sum())
    if missing:
        raise DataError(f"Column {by!r} is missing in {missing} of {len(frame)} rows.  Fill or drop those rows.")
    parts = [(f"{by}-{level}", rows) for level, rows in frame.groupby(by, observed=True)]
    sites = {site: Path(folder) / f"{quote(site, safe=' ')}.csv" for site, _ in parts}
    if len(sites) < len(parts):
        raise UsageError(f"Levels of column {by!r} differ in type but not in text.  Give them one type.")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for site, rows in parts:
        rows.to_csv(sites[site], index=False, lineterminator="\n")
    return sites
