"""The disclosure policy, asked before each answer: facts of the rows and of the ledger once, of each question in turn.

    entry of the ledger   payload
    study                 the study file, as the steward approved it
    request               what the study asks of the rows (protocol/requests.py), written before its first answer
    answer                the envelope that left

A request counts as an earlier one if its study, another one, has an answer in the ledger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumwise.data import DesignBlock, Source
from sumwise.disclosure import facts, facts_crossed, facts_glm, facts_lmm, facts_vectors
from sumwise.disclosure.facts import DesignFacts, Facts, QuestionFacts, Request, StudyFacts
from sumwise.disclosure.figures import orders_of
from sumwise.disclosure.policy import Policy, Refusal, check, stricter
from sumwise.errors import SiteError, SumwiseError, UsageError
from sumwise.kernels.vectors import WITH_AUX
from sumwise.maths import covariance
from sumwise.maths.columns import Column
from sumwise.models import lmm_messages
from sumwise.models.glm_messages import GlmMomentsQuestion
from sumwise.models.glmm_crossed import needs_laplace
from sumwise.models.glmm_messages import MomentsQuestion
from sumwise.models.glmm_vectors_messages import VectorMomentsQuestion, VectorQuestion
from sumwise.models.linear import LinearQuestion
from sumwise.protocol import requests, study_problems
from sumwise.protocol.ledger import Entry
from sumwise.protocol.study import Study, from_toml
from sumwise.protocol.wire.messages import Answer, decode_signed
from sumwise.studies.plan import planned_before

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Guard:
    """Called with a round and its question, gives the first refusal, or None where the answer may leave.

    policy; design: of the rows; request, earlier: what this study asks, and what others asked and were answered;
    joint_leverage: as in StudyFacts; judge: facts of a question; first: the first question.
    refused: the last refusal, for the steward's eyes alone.
    """

    policy: Policy
    design: DesignFacts
    request: Request
    earlier: tuple[Request, ...]
    joint_leverage: float
    judge: Callable[[Any], QuestionFacts]
    first: Any
    refused: Refusal | None = field(default=None, init=False)

    def __call__(self, round: int, question: Any) -> Refusal | None:  # noqa: A002  (its name in the protocol)
        """Whatever refuses, refuses for good: the study ends."""
        self.refused = next(iter(self._all(round, question)), None)
        return self.refused

    def before(self, round: int) -> tuple[Refusal, ...]:  # noqa: A002
        """All refusals that the rows and the ledger bring by themselves, at the first question."""
        return self._all(round, self.first)

    def _all(self, round: int, question: Any) -> tuple[Refusal, ...]:  # noqa: A002
        # the site agent compares the question with its own, and calls only if they are the same
        same = b""
        study = StudyFacts(round, same, same, self.request, self.earlier, self.joint_leverage)
        return check(Facts(self.design, self.judge(question), study), self.policy)


def guard_for(
    study: Study,
    policy: Policy,
    source: Source,
    block: DesignBlock,
    site: Any,
    entries: Sequence[Entry],
    version: bytes,
    places: Ints,
    reopen: Callable[[bool | None], Source],
) -> Guard:
    """The guard of a study at a site.

    policy: the site's own; the study's applies as well.   block: the site's rows in the study's columns; site: who
    answers with them (the Site of its kind of model); entries: of the ledger; version, places (n,): as
    version_and_places gives them; reopen: the rows with another choice of decimals, for earlier studies.

    Raises ProtocolError for entries that cannot be read, SiteError for a ledger that does not tell what was asked.
    """
    request = requests.request_of(study, version, facts.row_set(places[block.kept[_taking_part(study, block)]]))
    earlier = earlier_requests(entries, study.digest())
    design, judge, first = _JUDGED[study.kind](study, block, site)
    joint = _joint_leverage(study, source, block, entries, request, earlier, len(places), reopen)
    return Guard(stricter(policy, study.policy), design, request, earlier, joint, judge, first)


Judged = tuple[DesignFacts, Callable[[Any], QuestionFacts], Any]
"""Facts of the rows, how to judge a question, and the first one."""


def _linear(_study: Study, block: DesignBlock, _site: Any) -> Judged:
    only = facts.linear_question(block)
    return facts.linear_design(block), lambda _question: only, LinearQuestion()


def _generalized(study: Study, block: DesignBlock, _site: Any) -> Judged:
    orders, family = orders_of(block.x), study.family
    parameters = len(block.x) + (family == "negbinomial" and study.options.size is None)

    def judge(question: Any) -> QuestionFacts:
        return facts_glm.glm_question(block, family, question, orders)

    return facts_glm.glm_design(block, family, parameters), judge, GlmMomentsQuestion(family)


def _linear_mixed(_study: Study, block: DesignBlock, site: Any) -> Judged:
    only = facts.linear_question(block)
    effects = [name for term in block.random for name in term.columns]
    parameters = len(block.x) + covariance.size(site.blocks) + 1
    several = len({term.factor for term in block.random}) > 1
    of_rows = facts_crossed.crossed_lmm_design if several else facts_lmm.lmm_design
    return of_rows(block, effects, parameters), lambda _question: only, lmm_messages.MomentsQuestion()


def _mixed(_study: Study, block: DesignBlock, site: Any) -> Judged:
    orders = orders_of(block.x)

    def judge(question: Any) -> QuestionFacts:
        effect = None
        if not isinstance(question, MomentsQuestion):
            mode, _ = site.modes(question)
            effect = question.theta * mode
        return facts.mixed_question(block, question, effect, orders)

    return facts.mixed_design(block), judge, MomentsQuestion()


def _vectors(study: Study, block: DesignBlock, site: Any) -> Judged:
    effects = [name for term in block.random for name in term.columns]
    blocks = tuple(len(term.z) for term in block.random)
    parameters = len(block.x) + covariance.size(blocks) + (study.family in WITH_AUX)
    rows: Any = block
    if needs_laplace({term.factor for term in block.random}, len(effects)):
        rows = facts_crossed.ByComponent.of(block, facts_glm.taking_part(block, study.family))
        design = facts_crossed.crossed_vector_design(rows, study.family, effects, parameters)
    else:
        design = facts_vectors.vector_design(block, study.family, effects, parameters)

    def effects_at(question: VectorQuestion) -> facts_vectors.Effects:
        if rows is block:
            return facts_vectors.effects_of_groups(block, question, site)
        return facts_crossed.effects_of_components(rows, question, site)

    def judge(question: Any) -> QuestionFacts:
        return facts_vectors.vector_question(rows, site.family, effects, question, effects_at)

    return design, judge, VectorMomentsQuestion()


_JUDGED: dict[str, Callable[[Study, DesignBlock, Any], Judged]] = {
    study_problems.LINEAR: _linear,
    study_problems.LINEAR_MIXED: _linear_mixed,
    study_problems.GENERALIZED: _generalized,
    study_problems.MIXED: _mixed,
    study_problems.VECTORS: _vectors,
}


def _taking_part(study: Study, block: DesignBlock) -> NDArray[np.bool_]:
    """(n,): rows that count in the sums.  Weights and trials of zero take a row out: whoever writes a study can so ask
    about all rows but a few.
    """
    return facts_glm.taking_part(block, study.family) > 0


# -- what was asked before --


def earlier_requests(entries: Iterable[Entry], study: bytes) -> tuple[Request, ...]:
    """Requests of studies other than `study` that were answered.

    Raises SiteError where an answer or a request can no longer be told: nothing can be compared with it.
    """
    found: dict[bytes, list[Request]] = {}
    answered: dict[bytes, int] = {}
    for entry in entries:
        if entry.kind not in ("request", "answer"):
            continue
        if entry.payload is None:
            raise _untold(entry.index, f"the payload of this {entry.kind} was dropped")
        if entry.kind == "request":
            request = requests.decode(entry.payload)
            found.setdefault(request.study, []).append(request)
        elif isinstance(message := decode_signed(entry.payload), Answer):
            answered.setdefault(message.study, entry.index)
    answered.pop(study, None)
    for other, index in answered.items():
        if other not in found:
            raise _untold(index, f"study {other.hex()[:12]} was answered, and no entry says what it asked")
    return tuple(request for other in answered for request in found[other])


def answered_as(entries: Iterable[Entry], study: bytes) -> set[Request]:
    """The requests that stood when answers of this study left: one, unless the rows changed between rounds."""
    standing: Request | None = None
    found: set[Request] = set()
    for entry in entries:
        if entry.payload is None:
            continue
        if entry.kind == "request" and (request := requests.decode(entry.payload)).study == study:
            standing = request
        elif entry.kind == "answer" and standing is not None and decode_signed(entry.payload).study == study:
            found.add(standing)
    return found


def _untold(index: int, why: str) -> SiteError:
    return SiteError(
        f"ledger entry {index}: {why}; new requests cannot be compared with it, so none can be answered. Restore the "
        f"ledger from a copy."
    )


def _joint_leverage(
    study: Study,
    source: Source,
    block: DesignBlock,
    entries: Iterable[Entry],
    request: Request,
    earlier: Iterable[Request],
    n: int,
    reopen: Callable[[bool | None], Source],
) -> float:
    """Over the n rows of the table, in the columns of this and all other models that were asked of this data version;
    nan where there is no other, or one of them cannot be built again.
    """
    others = {e.model: e.study for e in earlier if e.data == request.data and e.model != request.model}
    if not others:
        return math.nan
    try:
        texts = _studies(entries, set(others.values()))
        models = [_columns(study, block)]
        for other in (texts[digest] for digest in others.values()):
            alike = other.options.decimal == study.options.decimal
            rows = source if alike else reopen(other.options.decimal)
            models.append(_columns(other, planned_before(other).block(rows)))
        return facts.joint_leverage(models, n)
    except (SumwiseError, LookupError, ArithmeticError):
        return math.nan


def _columns(study: Study, block: DesignBlock) -> tuple[list[Column], Ints]:
    match study.kind:
        case study_problems.LINEAR:
            return facts.linear_columns(block), block.kept
        case study_problems.LINEAR_MIXED:
            return facts_lmm.lmm_columns(block), block.kept
        case study_problems.GENERALIZED:
            return facts_glm.glm_columns(block, study.family), block.kept
        case study_problems.VECTORS:
            return facts_vectors.vector_columns(block, study.family), block.kept
    return facts.mixed_columns(block), block.kept


def _studies(entries: Iterable[Entry], wanted: set[bytes]) -> dict[bytes, Study]:
    """By digest, those of the ledger that are wanted."""
    found = {}
    for entry in entries:
        if entry.kind == "study" and entry.payload is not None:
            try:
                study = from_toml(entry.payload.decode())
            except UsageError:  # of another version of Sumwise, say
                continue
            if study.digest() in wanted:
                found[study.digest()] = study
    return found
