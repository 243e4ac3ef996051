"""The shipped data sets are what their README says, and writing them to sites loses nothing."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import csv

from sumwise import datasets
from sumwise.errors import DataError, UsageError

README = (Path(datasets.__file__).parent / "README.md").read_text()


def section(name: str) -> str:
    """The README's text about one data set."""
    return next(part for part in README.split("\n## ") if part.startswith(f"{name}:"))


@pytest.mark.parametrize("name", datasets.names())
def test_file_has_the_checksum_and_columns_of_the_readme(name):
    content = datasets.path(name).read_bytes()
    assert hashlib.sha256(content).hexdigest() in section(name)
    assert re.findall(r"^\| (\w+) \|", section(name), re.M)[1:] == content.decode().splitlines()[0].split(",")


# Rows and groups: the data sets' own descriptions in the R packages lme4, mlmRev, MASS and HSAUR3.
@pytest.mark.parametrize(
    ("name", "rows", "group", "groups"),
    [
        ("cbpp", 56, "herd", 15),
        ("contraception", 1934, "district", 60),
        ("epil", 236, "subject", 59),
        ("sleepstudy", 180, "Subject", 18),
        ("toenail", 1908, "patientID", 294),
    ],
)
def test_rows_and_groups(name, rows, group, groups):
    frame = datasets.load(name)
    assert len(frame) == rows
    assert frame[group].nunique() == groups
    assert not frame.isna().any(axis=None)
    assert f"{rows} rows" in section(name)
    assert f"{groups} " in section(name)


def test_totals():
    """Sums over R's lme4::cbpp, mlmRev::Contraception, MASS::epil, lme4::sleepstudy; toenail: over the shipped file."""
    cbpp = datasets.load("cbpp")
    assert (cbpp["incidence"].sum(), cbpp["size"].sum()) == (99, 842)
    assert datasets.load("contraception")["use"].sum() == 759
    assert datasets.load("epil")["y"].sum() == 1948
    assert round(datasets.load("sleepstudy")["Reaction"].sum(), 6) == 53731.4205
    assert datasets.load("toenail")["outcome"].sum() == 408


@pytest.mark.parametrize(("column", "of"), [("lbase", "base"), ("lage", "age")])
def test_epil_has_centred_logarithms(column, of):
    epil = datasets.load("epil")
    logarithm = np.log(epil[of].to_numpy())
    np.testing.assert_allclose(epil[column], logarithm - logarithm.mean(), atol=1e-14)


def test_factors_have_the_reference_level_first():
    assert list(datasets.load("cbpp")["period"].cat.categories) == [1, 2, 3, 4]
    assert list(datasets.load("contraception")["livch"].cat.categories) == ["0", "1", "2", "3plus"]
    assert list(datasets.load("contraception")["urban"].cat.categories) == ["N", "Y"]
    assert list(datasets.load("epil")["trt"].cat.categories) == ["placebo", "progabide"]
    assert list(datasets.load("toenail")["treatment"].cat.categories) == ["itraconazole", "terbinafine"]


def test_decimals_are_read_to_the_nearest_float():
    lines = datasets.path("contraception").read_text().splitlines()[1:]
    assert datasets.load("contraception")["age2"].tolist() == [float(line.split(",")[3]) for line in lines]


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"'iris'.*cbpp, contraception, epil, sleepstudy, toenail"):
        datasets.load("iris")


def test_sites_hold_every_row_once(tmp_path):
    frame = datasets.load("contraception")
    sites = datasets.write_sites(frame, "district", tmp_path / "new" / "folder")
    assert len(sites) == 60
    assert sites["district-3"] == tmp_path / "new" / "folder" / "district-3.csv"
    assert set(sites.values()) == set((tmp_path / "new" / "folder").iterdir())
    for (district, rows), path in zip(frame.groupby("district"), sites.values(), strict=True):
        back = csv.read_csv(path).to_pandas()
        assert path.stem == f"district-{district}"
        for column in ("use", "age", "age2"):
            assert back[column].tolist() == rows[column].tolist()


def test_cbpp_by_herd_is_fifteen_files(tmp_path):
    sites = datasets.write_sites(datasets.load("cbpp"), "herd", tmp_path)
    assert list(sites) == [f"herd-{herd}" for herd in range(1, 16)]
    # The first herd's rows as they stand in cbpp.csv.
    assert sites["herd-1"].read_text() == "herd,incidence,size,period\n1,2,14,1\n1,3,12,2\n1,4,9,3\n1,0,5,4\n"


def test_any_level_is_a_file_name(tmp_path):
    frame = pd.DataFrame({"clinic": ["A/B", "..", "Zürich"], "y": [0, 1, 1]})
    sites = datasets.write_sites(frame, "clinic", tmp_path)
    assert set(sites) == {"clinic-A/B", "clinic-..", "clinic-Zürich"}
    assert set(sites.values()) == set(tmp_path.iterdir())


def test_rows_that_belong_to_no_site_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no column 'farm'.*herd, incidence, size, period"):
        datasets.write_sites(datasets.load("cbpp"), "farm", tmp_path)
    with pytest.raises(DataError, match=r"'clinic' is missing in 2 of 3 rows"):
        datasets.write_sites(pd.DataFrame({"clinic": ["A", None, None]}), "clinic", tmp_path)
    with pytest.raises(UsageError, match=r"'clinic' differ in type"):
        datasets.write_sites(pd.DataFrame({"clinic": [1, "1"]}, dtype=object), "clinic", tmp_path)
    assert not list(tmp_path.iterdir())
