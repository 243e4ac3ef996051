"""The result of a study: what follows from its totals, whoever holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sumwise.engines.replay import ReplayEngine
from sumwise.fitting.method import Here, Written
from sumwise.fitting.watch import watcher
from sumwise.loop import run
from sumwise.protocol.study import Study
from sumwise.results.fit import Fit
from sumwise.results.record import RoundRecord, SiteRecord
from sumwise.studies.plan import Plan

NOBODY = Here()
"""No rows are at hand."""


def result(study: Study, plan: Plan, totals: Sequence[bytes], here: Here = NOBODY) -> Fit:
    """The fit: the same bits as from all rows in one table.

    totals: payloads, by round.   Raises DataError where the rows do not identify the model, SiteError where rounds are
    missing.
    """
    records: list[RoundRecord] = []
    engine = ReplayEngine(tuple(study.sites), totals)
    state, _ = run(plan.model, engine, watcher(records, plan.method.record, progress=False))
    rounds = [replace(record, seconds=None) for record in records]
    sites = [SiteRecord(name, None, None, None) for name in study.sites]
    return plan.method.result(
        Written(plan.formula, plan.options, plan.contract, rounds, sites), plan.model, state, here
    )
