"""The data room: formula text and tables in, one numeric design block per site out."""

from sumwise.data.contract import Contract, agree
from sumwise.data.decimals import Decimals
from sumwise.data.design import DesignBlock, Rows, build, check_groups_disjoint, rows
from sumwise.data.formula import Bar, Formula, parse
from sumwise.data.precision import InputErrors, input_errors
from sumwise.data.sampling import Moving
from sumwise.data.site_data import open_site_data, version_and_places
from sumwise.data.source import Source, open_sites

__all__ = [
    "Bar",
    "Contract",
    "Decimals",
    "DesignBlock",
    "Formula",
    "InputErrors",
    "Moving",
    "Rows",
    "Source",
    "agree",
    "build",
    "check_groups_disjoint",
    "input_errors",
    "open_site_data",
    "open_sites",
    "parse",
    "rows",
    "version_and_places",
]
