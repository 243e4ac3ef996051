"""Data that several tests of the data room share."""

from __future__ import annotations

from importlib.resources import as_file, files

import pandas as pd
import pytest


def _shipped(name: str) -> pd.DataFrame:
    with as_file(files("sumwise") / "datasets" / name) as path:
        return pd.read_csv(path)


@pytest.fixture(scope="session")
def cbpp() -> pd.DataFrame:
    """56 rows in 15 herds; see the note beside the shipped file."""
    return _shipped("cbpp.csv")


@pytest.fixture(scope="session")
def contraception() -> pd.DataFrame:
    """1934 rows in 60 districts; livch has the levels 0, 1, 2, 3plus."""
    return _shipped("contraception.csv")
