"""Coverage-guided fuzzing of everything that reads what others wrote: messages, envelopes, payloads, ledgers, studies.

    python -m bench.fuzz [--seconds 30] [--only messages,study]

Needs atheris (pip install atheris: libFuzzer for Python).  Each target runs in a process of its own, for so many
seconds, from seeds that are valid.  It may refuse with ProtocolError (the study file: UsageError) and with nothing
else; what it accepts must encode to exactly the bytes that came in; no input may take more than 10 s or 2 GiB.  Exits
with 1, and shows input and traceback, where one did.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sumwise.disclosure.policy import Policy
from sumwise.errors import ProtocolError, UsageError
from sumwise.maths.exact import ExactSum
from sumwise.maths.gram import Gram
from sumwise.models import glmm_crossed_messages as glmm_crossed
from sumwise.models import lmm_crossed
from sumwise.models import lmm_messages as lmm
from sumwise.models.glm_messages import GlmMoments, GlmMomentsQuestion, GlmQuestion, GlmSummand
from sumwise.models.glmm_messages import Moments, MomentsQuestion, Question, Summand
from sumwise.models.glmm_vectors_messages import VectorMoments, VectorMomentsQuestion, VectorQuestion, VectorSummand
from sumwise.models.linear import LinearQuestion, LinearSummand
from sumwise.protocol import ledger
from sumwise.protocol import study as study_file
from sumwise.protocol.keys import SiteKeys
from sumwise.protocol.wire import messages, payloads
from sumwise.protocol.wire.codec import NO_HASH, digest
from sumwise.protocol.wire.masking import MaskedSummand

STUDY = digest(b"a study to fuzz")
NAMES = (messages.COORDINATOR, "north", "Süd")
SECONDS, LONGEST = 30, 4096  # LONGEST: bytes of an input


def _site(name: str) -> SiteKeys:
    return SiteKeys.from_seed(hashlib.sha256(name.encode()).digest())


PRIVATE: dict[str, Ed25519PrivateKey] = {name: _site(name).signing for name in NAMES}
KEYS = {name: key.public_key() for name, key in PRIVATE.items()}

# -- targets: an input is refused, or accepted and spelled again --


def _same(again: bytes, data: bytes) -> None:
    if again != data:
        raise AssertionError(f"accepted, and would be written otherwise: {again!r:.200}")


def _messages(data: bytes) -> None:
    _same(messages.encode(messages.decode(data)), data)


def _envelopes(data: bytes) -> None:
    """The bytes as they are, and signed by everybody: what an insider can send."""
    for envelope in (data, *(data + key.sign(data) for key in PRIVATE.values())):
        try:
            message = messages.open_envelope(envelope, KEYS, STUDY, {"north": 1})
        except ProtocolError:
            continue
        _same(messages.sign(message, PRIVATE[message.sender]), envelope)


def _payloads(data: bytes) -> None:
    payload = payloads.decode(data)
    _same(payloads.encode(payload), data)
    if isinstance(payload, LinearSummand):  # no lie may make adding costly
        payload + payload


def _ledger(data: bytes) -> None:
    found = ledger.parse(data)
    _same(ledger.serialise(found.entries), data[: found.standing])
    ledger.verify(found.entries)


def _study(data: bytes) -> None:
    study = study_file.from_toml(data.decode(errors="replace"), date(2027, 1, 1))
    again = study_file.from_toml(study_file.to_toml(study))
    _same(again.encode(), study.encode())


# -- seeds --


def _message_seeds() -> list[bytes]:
    hashed, reasons = digest(b"something"), list(messages.Reason)
    said = (
        messages.Hello(STUDY, "coordinator", 1, "1.0"),
        messages.SiteReady(STUDY, "north", 2, "1.0"),
        messages.Ask(STUDY, "coordinator", 2, 1, b"question", NO_HASH),
        messages.Ask(STUDY, "coordinator", 4, 2, b"question", hashed),
        messages.Answer(STUDY, "Süd", 1, 1, b"summand", hashed),
        messages.Refuse(STUDY, "north", 2, 1, "minimum-rows", 20.0),
        messages.Total(STUDY, "coordinator", 3, 1, b"total", (("Süd", hashed), ("north", STUDY))),
        messages.Finish(STUDY, "coordinator", 5, hashed),
        *(messages.Abort(STUDY, "Süd", 1, "north", why) for why in reasons),
    )
    return [messages.encode(message) for message in said]


def _payload_seeds() -> list[bytes]:
    sums = ExactSum.of(np.array([[1.5, -2e300, 5e-324, 0.0, 3.0, 7.0]]))
    gram = Gram.of([np.array([1.0, 2.0]), np.array([0.1, -5e-324])])
    weighted = Gram(2, (0, -3), (5, -6, 7), (0, 2), -4, 1)
    question = Question(np.zeros(2), np.array([0.5, -1.0]), 1.0, (1, 3, 5), np.inf)
    return [
        payloads.encode(p)
        for p in (
            LinearQuestion(),
            MomentsQuestion(),
            question,
            LinearSummand(gram, 0, None),
            LinearSummand(weighted, 3, ExactSum.of(np.array([0.25]))),
            Moments(9, 3, 1, sums, sums),
            Summand(sums, (2, 1), 0),
            MaskedSummand(2184, (5, 2**2183, 0)),
            GlmMomentsQuestion("gamma"),
            GlmMoments(9, 1, 2, sums, sums),
            GlmQuestion("negbinomial", "log", np.zeros(2), np.array([0.5, -1.0]), 2.0, 1, True),
            GlmSummand(sums, 0),
            *_mixed_seeds(gram, sums),
        )
    ]


def _mixed_seeds(gram: Gram, sums: ExactSum) -> list[payloads.Payload]:
    """Of linear and generalized mixed models, with one grouping factor and with two."""
    points, pairs, many = np.zeros((2, 4)), ExactSum.zeros((2, 2)), ExactSum.zeros((2, 6))
    linear = lmm.Moments(gram, 0, None, (3, 2), (0, 1), sums, ExactSum.zeros(0))
    vectors = VectorMoments(9, 3, 3, 0, 1, sums, pairs, ExactSum.zeros(4))
    return [
        lmm.MomentsQuestion(2, (1, 2), True),
        linear,
        lmm.Question(np.zeros(3), tuple(points), True, False),
        lmm.Summand(ExactSum.zeros((2, 1, 3)), sums, 0),
        VectorMomentsQuestion(2, 1),
        vectors,
        VectorQuestion(np.zeros(3), points, (3, 5), np.inf, 0, True),
        VectorSummand(many, ExactSum.zeros((2, 3)), ((1, 2), (3, 0)), (0, 1)),
        lmm_crossed.CrossedMomentsQuestion(2, (1, 2), True, factors=2),
        lmm_crossed.CrossedMoments.of(linear, (5,), pairs),
        glmm_crossed.CrossedMomentsQuestion(2, 2, factors=2),
        glmm_crossed.CrossedMoments.of(vectors, ((3, 3, 0, 1), (2, 2, 0, 0)), (5,)),
        glmm_crossed.CrossedQuestion(
            np.zeros(4), points, (1,), np.inf, -1, columns=2, near=points[:1], metric=True, rough=False
        ),
        glmm_crossed.CrossedSummand(many, sums, (0, 1)),
    ]


def _ledger_seeds() -> list[bytes]:
    entries = ledger.append((), "answer", b"envelope", "answer of round 1")
    entries = ledger.append(entries, "approve", b"a secret", "", keep=False)
    return [b"", ledger.serialise(entries[:1]), ledger.serialise(entries), ledger.serialise(entries)[:-3]]


def _study_seeds() -> list[bytes]:
    columns = [
        {"name": "y", "kind": "number", "levels": []},
        {"name": "sex", "kind": "text", "levels": ["f", "m"]},
    ]
    contract = {"columns": columns, "names": ["(Intercept)", "sex[m]"], "learned": [{"mean": 0.5, "sd": 1e300}]}
    one = study_file.Study(
        id="heights-2026",
        purpose="Whether they\ndiffer.",
        formula="y ~ sex",
        family="gaussian",
        options=study_file.Options("drop", weights="1 / v", decimal=False),
        contract={**contract, "weights": "1 / v"},
        sites={name: _site(name).public for name in ("north", "Süd", "東")},
        coordinator=_site(messages.COORDINATOR).public[:32],
        policy=Policy(),
        secure_sum=True,
        most_rounds=3,
        expires=date(2027, 1, 31),
        results_to=("all",),
        software="1.0",
    )
    return [study_file.to_toml(one).encode()]


Target = tuple[Callable[[bytes], None], type[Exception], Callable[[], list[bytes]]]

TARGETS: dict[str, Target] = {
    "messages": (_messages, ProtocolError, _message_seeds),
    "envelopes": (_envelopes, ProtocolError, _message_seeds),
    "payloads": (_payloads, ProtocolError, _payload_seeds),
    "ledger": (_ledger, ProtocolError, _ledger_seeds),
    "study": (_study, UsageError, _study_seeds),
}

# -- running --


def fuzz(name: str, folder: Path, seconds: int) -> None:
    """Does not return: libFuzzer ends the process.  folder: of the inputs that were worth keeping."""
    import atheris

    read, refuses, seeds = TARGETS[name]
    for function in [f for f in gc.get_objects() if isinstance(f, FunctionType)]:
        if (function.__module__ or "").startswith(("sumwise.protocol.", "tomllib.")):
            atheris.instrument_func(function)
    for place, seed in enumerate(seeds()):
        (folder / f"seed-{place}").write_bytes(seed)

    def once(data: bytes) -> None:
        with suppress(refuses):
            read(data)

    longest = max(LONGEST, *(2 * len(seed) for seed in seeds()))
    limits = [f"-max_total_time={seconds}", f"-max_len={longest}", "-timeout=10", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], str(folder), f"-artifact_prefix={folder}/crash-", *limits], once)
    atheris.Fuzz()


def run(name: str, seconds: int) -> bool:
    """Whether the target stood; prints a line, and what broke it."""
    command = [sys.executable, "-m", "bench.fuzz", "--child", name, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    said = done.stdout + done.stderr
    counts = re.findall(r"#(\d+)\s+(?:DONE|pulse|NEW|REDUCE|RELOAD|INITED)\s+cov: (\d+).*?corp: (\d+)", said)
    stood = done.returncode == 0 and bool(counts)
    number, covered, kept = map(int, counts[-1]) if counts else (0, 0, 0)
    print(f"{name:10}  {'stood' if stood else 'BROKE':5}  {number:>10,}  {covered:>8,}  {kept:>6,}", flush=True)
    if not stood:
        print(said[-4000:])
    return stood


def main() -> int:
    """Returns 1 if a target broke."""
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of what reads others' bytes.")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each target")
    parser.add_argument("--only", default=",".join(TARGETS), help="targets, with commas")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        with tempfile.TemporaryDirectory() as folder:
            fuzz(given.child, Path(folder), given.seconds)
    if find_spec("atheris") is None:
        print("skipped: fuzzing needs atheris; pip install atheris")
        return 0
    print(f"{'target':10}  {'':5}  {'inputs':>10}  {'covered':>8}  {'kept':>6}", flush=True)
    stood = [run(name, given.seconds) for name in given.only.split(",")]
    return 0 if all(stood) else 1


if __name__ == "__main__":
    sys.exit(main())
