"""A study file as the things that fits are made of: the formula, the options, the contract, the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sumwise import __version__
from sumwise.data import Contract, DesignBlock, Formula, build, parse
from sumwise.data.random import random_rules
from sumwise.data.roles import used_columns
from sumwise.data.source import Source
from sumwise.data.terms import column_names, expand
from sumwise.data.weights import parse_weights
from sumwise.errors import UsageError, shown
from sumwise.fitting.choose import choose
from sumwise.fitting.generalized_mixed import GENERALIZED_MIXED
from sumwise.fitting.glm import GLM, check_frequencies
from sumwise.fitting.linear import LINEAR
from sumwise.fitting.linear_mixed import LINEAR_MIXED
from sumwise.fitting.method import Method
from sumwise.fitting.mixed import MIXED
from sumwise.fitting.options import Options
from sumwise.loop import Model
from sumwise.protocol import study_problems
from sumwise.protocol.study import Study

_METHODS = {
    study_problems.LINEAR: LINEAR,
    study_problems.LINEAR_MIXED: LINEAR_MIXED,
    study_problems.GENERALIZED: GLM,
    study_problems.MIXED: MIXED,
    study_problems.VECTORS: GENERALIZED_MIXED,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study file comes to."""

    formula: Formula
    options: Options
    contract: Contract
    method: Method
    model: Model

    def block(self, source: Source) -> DesignBlock:
        """The rows of a site, in the study's columns.  Raises what data.build raises."""
        options = self.options
        block = build(self.formula, self.contract, source, missing=options.missing, family=options.family)
        if options.weights is not None and options.weights_as == "frequency":
            check_frequencies(block, source.name, options.weights)
        return block


def plan(study: Study) -> Plan:
    """Raises UsageError for a formula, an option or a contract that this version cannot use, and for a contract that
    does not follow from the formula.
    """
    found = planned_before(study)
    _check_follows(found.formula, found.contract)
    _check_groups(study.contract.get("groups"), found.contract)
    return found


def check_software(study: Study) -> None:
    """Raises UsageError where the study asks for another version of Sumwise than this one."""
    if study.software != __version__:
        raise UsageError(
            f"study '{study.id}' asks for Sumwise {study.software}, and this is {__version__}: other versions may give "
            f"other bits; install that one: pip install sumwise=={study.software}"
        )


def planned_before(study: Study) -> Plan:
    """Of a study that was approved, perhaps under another version: its contract says what was asked."""
    options = Options(study.family, **study.options.given())
    formula = parse(study.formula)
    method = choose(formula, study.family, options.link)
    method.check(formula, options)
    if method is not _METHODS[study.kind]:
        raise UsageError(
            f"the options of the study are those of a {study.kind} model, and {formula.text!r} with family "
            f"{study.family!r} is another"
        )
    contract = _contract(study.contract)
    return Plan(formula, options, contract, method, method.model(formula, options, contract))


def _check_groups(groups: Any, contract: Contract) -> None:
    """Raises UsageError where labels are said to be a site's own, and grouping factors of the formula are left open."""
    if groups is None:
        return
    factors_ = {rule.group: rule.columns for rule in contract.random}
    odd = set(groups) - {name for columns in factors_.values() for name in columns}
    open_ = [name for name, columns in factors_.items() if not set(columns) & set(groups)]
    if odd or open_:
        raise UsageError(
            f"contract.groups says which labels of {', '.join(map(repr, groups))} a site can have; the grouping "
            f"factors of the formula are {', '.join(map(repr, factors_)) or 'none'}"
        )


def _contract(values: Any) -> Contract:
    try:
        columns = [{"levels": (), **column} for column in values["columns"]]
        return Contract.from_dict({"learned": (), **values, "columns": columns})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else shown(str(error), 200)
        raise UsageError(f"the contract of the study cannot be used: {what}") from error


def _check_follows(formula: Formula, contract: Contract) -> None:
    """What is asked must be what the formula says, under the names that a steward reads.

    Raises UsageError for a contract with other columns of data, of the design, or constants than the formula has.
    """
    used = list(used_columns(formula, parse_weights(contract.weights)))
    found = [rule.name for rule in contract.columns]
    if sorted(used) != sorted(found):
        raise UsageError(f"the formula and weights of the study use the columns {used}, its contract lists {found}")
    levels = contract.levels(formula)
    products = expand(formula.fixed, tuple(bool(of_atom) for of_atom in levels))
    names = column_names(products, [atom.text for atom in formula.atoms], levels)
    if contract.random != random_rules(formula, levels):
        raise UsageError(f"the contract of the study has other random effects than its formula, {formula.text!r}")
    if contract.products != products or contract.names != names:
        raise UsageError(
            f"the formula of the study makes the columns {names}, its contract other ones: {contract.names}"
        )
    if len(contract.learned) != len(formula.learned()):
        raise UsageError(
            f"the formula of the study has {len(formula.learned())} terms with constants, its contract constants for "
            f"{len(contract.learned)}"
        )
