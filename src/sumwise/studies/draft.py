"""A new study: from a formula and a table that looks like those of the sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sumwise import __version__
from sumwise.data import agree, open_sites, parse
from sumwise.data.expression import misplaced
from sumwise.disclosure.policy import Policy
from sumwise.errors import UsageError
from sumwise.fitting.choose import choose
from sumwise.fitting.glm import GLM, link_of
from sumwise.fitting.linear import LINEAR
from sumwise.fitting.linear_mixed import LINEAR_MIXED
from sumwise.fitting.method import Method
from sumwise.fitting.mixed import MIXED
from sumwise.fitting.options import Options
from sumwise.fitting.vector_mixed import link_of as mixed_link_of
from sumwise.models.lmm import METHODS
from sumwise.protocol.study import Options as StudyOptions
from sumwise.protocol.study import Study

MOST_ROUNDS = 30
"""Rounds that a study may take, if nothing else is said; one of a linear model takes one."""


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
    groups: Mapping[str, Mapping[str, str | Sequence[int]]] | None = None,
) -> Study:
    """The study.  example: a table with the columns, kinds and levels that the sites have; made-up rows will do, and
    nothing of it but names of columns and levels enters the study.   sites: name -> public keys; units, ranges: of
    columns, by name; groups: which labels of grouping columns each site has (protocol/study_groups.py).

    Raises UsageError for a formula that learns from rows, and what Study and data.agree raise.
    """
    parsed = parse(formula)
    method = choose(parsed, options.family, options.link)
    method.check(parsed, options)
    for call in parsed.learned():
        fault = (
            "center() and scale() learn means from rows, which a study does not bring together. Write numbers that "
            "every site knows, as in I((age - 40) / 10)."
        )
        raise misplaced(formula, call.at, fault)
    sources = open_sites(example, options.decimal)
    contract = agree(parsed, sources, missing="drop", weights=options.weights, family=options.family)
    method.model(parsed, options, contract)  # refuses what the options cannot mean
    values = contract.to_dict()
    by_name = {column["name"]: column for column in values["columns"]}
    for name, unit in (units or {}).items():
        _column(by_name, name, "a unit")["unit"] = unit
    for name, (low, high) in (ranges or {}).items():
        column = _column(by_name, name, "a range")
        if column["kind"] != "number" or not low <= high:
            raise UsageError(f"range of '{name}': no {column['kind']} lies from {low:g} to {high:g}")
        column |= {"low": float(low), "high": float(high)}
    if groups:
        values["groups"] = groups
    if expires < date.today():
        raise UsageError(f"expires: {expires} is past; name the last day on which sites are to answer")
    given = _given(method, options)
    rounds = 1 if method is LINEAR else MOST_ROUNDS
    return Study(
        id=id,
        purpose=purpose,
        formula=parsed.text,
        family=options.family,
        options=given,
        contract=values,
        sites=sites,
        coordinator=coordinator,
        policy=policy,
        secure_sum=secure_sum,
        most_rounds=rounds if most_rounds is None else most_rounds,
        expires=expires,
        results_to=tuple(results_to),
        software=__version__,
    )


def _given(method: Method, options: Options) -> StudyOptions:
    """What the model knows of the options, defaults written out: nobody should have to know them."""
    missing, weights = options.missing, options.weights
    if method is LINEAR:
        return StudyOptions(missing, weights=weights, decimal=options.decimal)
    if method is LINEAR_MIXED:
        return StudyOptions(missing, weights=weights, method=options.method or METHODS[0])
    if method is GLM:
        means = options.weights_as if weights is not None else None
        return StudyOptions(missing, weights=weights, link=link_of(options), weights_as=means, size=options.size)
    if method is MIXED:
        return StudyOptions(missing, nodes=options.nodes)
    return StudyOptions(missing, nodes=options.nodes, weights=weights, link=mixed_link_of(options))


def _column(columns: Mapping[str, dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    if name not in columns:
        raise UsageError(f"{what} for '{name}', which the formula does not use; it uses {', '.join(columns)}")
    return columns[name]
