"""What coordinator and three sites say to each other in the fit of a study, as objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sumwise.data import open_sites
from sumwise.errors import ProtocolError
from sumwise.models import lmm_messages as lmm
from sumwise.protocol.states import Phase
from sumwise.protocol.study import Study
from sumwise.protocol.wire import masked
from sumwise.protocol.wire.payloads import KINDS, answers, decode, encode
from sumwise.studies.plan import plan
from tests.unit.protocol.studies import STUDY, site_keys
from tests.unit.protocol.studies import study as a_study
from tests.unit.studies.federation import dealt

SITES = ("site-00", "site-01", "site-02")
MASKS = {name: site_keys(name).masking.public_key() for name in SITES}
HEADERS = {kind.holds: b"SUMP" + bytes([kind.number, kind.version]) for kind in KINDS}


def model_and_sites(study: Study, table: pd.DataFrame, by: str | None) -> tuple[Any, dict[str, Any]]:
    """The model of a study, and its three sites; by: as in `dealt`."""
    parts, planned = dealt(table, 3, by), plan(study)
    blocks = {site: planned.block(open_sites({site: rows})[site]) for site, rows in parts.items()}
    return planned.model, {site: planned.method.site(planned.options, block) for site, block in blocks.items()}


def rounds(model: Any, sites: Mapping[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """Each question of the fit, with the summands of the sites."""
    state, found = model.start(), []
    while (question := model.ask(state)) is not None:
        summands = {site: one.answer(question) for site, one in sites.items()}
        found.append((question, summands))
        state = model.step(state, reduce(add, summands.values()))
    return found


def masked_answers(question: Any, summands: Mapping[str, Any], number: int) -> tuple[Any, dict[str, Any]]:
    """The question as it arrives, and the sites' masked answers: plain ones come back as the same bytes, and all masked
    ones are equally long.
    """
    again, sent = decode(encode(question)), {}
    assert encode(again) == encode(question)
    for site, summand in summands.items():
        found = decode(encode(summand))
        assert encode(found) == encode(summand)
        assert answers(found, again)
        sent[site] = masked.mask_summand(summand, question, number, STUDY, site, site_keys(site).masking, MASKS)
        masked.check(sent[site], again, 3)
    assert len({len(encode(one)) for one in sent.values()}) == 1
    return again, sent


def check_masked_total(question: Any, summands: Mapping[str, Any], number: int) -> tuple[Any, dict[str, Any]]:
    """`masked_answers`, out of whose masks the total comes: its very bytes, but that a Gram has units of its own."""
    again, sent = masked_answers(question, summands, number)
    total, found = reduce(add, summands.values()), masked.total(sent, again)
    if isinstance(total, lmm.Moments):
        m = total.gram.columns
        pairs = [(i, j) for i in range(m) for j in range(i + 1)]
        assert [found.gram.fraction(*p) for p in pairs] == [total.gram.fraction(*p) for p in pairs]
        found = replace(found, gram=total.gram)
        assert found == total
    assert encode(found) == encode(total)
    return again, sent


def check_lengths(question: Any, sent: Mapping[str, Any]) -> None:
    """A masked answer's length follows from the question: one number more or less is refused."""
    first = sent["site-00"]
    for count in (len(first.numbers) - 1, len(first.numbers) + 1):
        with pytest.raises(ProtocolError, match=f"{count} masked numbers"):
            masked.check(replace(first, numbers=(0,) * count), question, 3)


def check_that_a_lie_crashes_nothing(model: Any, sites: Mapping[str, Any], lie: Callable[[Any], Any]) -> None:
    """A site whose answers are changed can spoil a study; it cannot stop the others' machines."""

    class Lying:
        def answer(self, question: Any) -> Any:
            return lie(sites["site-01"].answer(question))

    found, greeting = a_study(model, {**sites, "site-01": Lying()})
    with np.errstate(all="ignore"):
        found.tell(greeting)
    assert found.state.phase in (Phase.FINISHED, Phase.ABORTED)
    assert {site.phase for site in found.sites.values()} == {found.state.phase}
