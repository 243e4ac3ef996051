"""A study file as the things that fits are made of: the formula, the options, the contract, the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sumwise.data import Contract, DesignBlock, Formula, build, parse
from sumwise.data.source import Source
from sumwise.errors import UsageError
from sumwise.fitting.choose import choose
from sumwise.fitting.method import Method
from sumwise.fitting.options import Options
from sumwise.loop import Model
from sumwise.protocol.study import Study


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
        return build(self.formula, self.contract, source, missing=self.options.missing, family=self.options.family)


def plan(study: Study) -> Plan:
    """Raises UsageError for a formula, an option or a contract that this version cannot use."""
    options = Options(study.family, **study.options.given())
    formula = parse(study.formula)
    method = choose(formula, study.family)
    method.check(formula, options)
    contract = _contract(study.contract)
    return Plan(formula, options, contract, method, method.model(formula, options, contract.names))


def _contract(values: Any) -> Contract:
    try:
        columns = [{"levels": (), **column} for column in values["columns"]]
        return Contract.from_dict({"learned": (), **values, "columns": columns})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"the contract of the study cannot be used: {what}") from error
