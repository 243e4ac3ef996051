"""A new study: from a formula and a table that looks like those of the sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sumwise import __version__
from sumwise.data import agree, open_sites, parse
from sumwise.data.expression import misplaced
from sumwise.errors import UsageError
from sumwise.fitting.choose import choose
from sumwise.fitting.options import Options
from sumwise.protocol.policy import Policy
from sumwise.protocol.study import Options as StudyOptions
from sumwise.protocol.study import Study
from sumwise.studies.plan import check_in_studies

MOST_ROUNDS = {"gaussian": 1, "binomial": 30}
"""Rounds that a study of a family may take, if nothing else is said."""


def draft(
    formula: str,
    example: Any,
    *,
    id: str,  # noqa: A002  (its name in the file)
    purpose: str,
    options: Options,
    sites: Mapping[str, bytes],
    coordinator: bytes,
    expires: date,
    results_to: Sequence[str],
    policy: Policy,
    secure_sum: bool = False,
    most_rounds: int | None = None,
    units: Mapping[str, str] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Study:
    """The study.  example: a table with the columns, kinds and levels that the sites have; made-up rows will do, and
    nothing of it but names of columns and levels enters the study.   sites: name -> public keys; units, ranges: of
    columns, by name.

    Raises UsageError for a formula that a study cannot fit, and what Study and data.agree raise.
    """
    parsed = parse(formula)
    method = choose(parsed, options.family)
    method.check(parsed, options)
    check_in_studies(method, parsed)
    for call in parsed.learned():
        fault = (
            "center() and scale() learn means from rows, which a study does not bring together. Write numbers that "
            "every site knows, as in I((age - 40) / 10)."
        )
        raise misplaced(formula, call.at, fault)
    sources = open_sites(example, options.decimal)
    contract = agree(parsed, sources, missing="drop", weights=options.weights, family=options.family)
    values = contract.to_dict()
    by_name = {column["name"]: column for column in values["columns"]}
    for name, unit in (units or {}).items():
        _column(by_name, name, "a unit")["unit"] = unit
    for name, (low, high) in (ranges or {}).items():
        column = _column(by_name, name, "a range")
        if column["kind"] != "number" or not low <= high:
            raise UsageError(f"range of '{name}': no {column['kind']} lies from {low:g} to {high:g}")
        column |= {"low": float(low), "high": float(high)}
    if expires < date.today():
        raise UsageError(f"expires: {expires} is past; name the last day on which sites are to answer")
    linear = options.family == "gaussian"
    return Study(
        id=id,
        purpose=purpose,
        formula=parsed.text,
        family=options.family,
        options=StudyOptions(
            missing=options.missing,
            nodes=None if linear else options.nodes,
            weights=options.weights,
            decimal=options.decimal,
        ),
        contract=values,
        sites=sites,
        coordinator=coordinator,
        policy=policy,
        secure_sum=secure_sum,
        most_rounds=MOST_ROUNDS[options.family] if most_rounds is None else most_rounds,
        expires=expires,
        results_to=tuple(results_to),
        software=__version__,
    )


def _column(columns: Mapping[str, dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    if name not in columns:
        raise UsageError(f"{what} for '{name}', which the formula does not use; it uses {', '.join(columns)}")
    return columns[name]
