"""The coordinator at work."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sumwise.engines.folder import Mailbox, read_ledger
from sumwise.engines.replay import totals_in_folder, totals_in_ledger, totals_published
from sumwise.errors import SiteError, UsageError
from sumwise.protocol.coordinator import Coordinator, CoordinatorState
from sumwise.protocol.states import Phase
from sumwise.protocol.study import Study
from sumwise.protocol.wire.messages import COORDINATOR
from sumwise.results.fit import Fit
from sumwise.studies.files import read_secret, read_study
from sumwise.studies.plan import check_software, plan
from sumwise.studies.result import result


def open_coordinator(study_path: Path, key_path: Path) -> Coordinator:
    """Raises UsageError for a study that cannot be used, and a key that is not the study's."""
    study, _ = read_study(study_path)
    check_software(study)
    key = Ed25519PrivateKey.from_private_bytes(read_secret(key_path))
    if key.public_key().public_bytes_raw() != study.coordinator:
        raise UsageError(f"{key_path} is not the key of the coordinator of study '{study.id}'")
    return _coordinator(study, key)


def _coordinator(study: Study, key: Ed25519PrivateKey) -> Coordinator:
    return Coordinator(study.terms(), plan(study).model, key)


def published(study: Study, state: CoordinatorState) -> Fit:
    """The fit.  Raises SiteError, with site and reason, for a study that ended without one."""
    if state.phase is Phase.FINISHED:
        return result(study, plan(study), state.totals)
    who, why = state.ended or (COORDINATOR, None)
    words = state.fault or (why.words if why else state.phase.value)
    whose = "" if who == COORDINATOR else f" at '{who}'"
    raise SiteError(f"study '{study.id}' ended without a result{whose}: {words}")


def replay(study_path: Path, where: Path) -> Fit:
    """The result again, from the folder of messages (that of the coordinator's may stand alone in it) or from a site's
    ledger; no data and no key are needed.

    Raises SiteError and ProtocolError for a record that is not finished, or was changed.
    """
    study, _ = read_study(study_path)
    if where.is_dir() and {path.name for path in where.iterdir() if path.is_dir()} == {COORDINATOR}:
        totals = totals_published(study.terms(), Mailbox(where))
    elif where.is_dir():
        nobody = _coordinator(study, Ed25519PrivateKey.generate())
        totals = totals_in_folder(nobody, Mailbox(where))
    elif where.is_file():
        totals = totals_in_ledger(study.terms(), read_ledger(where).entries)
    else:
        raise UsageError(f"{where} is neither a folder of messages nor a ledger")
    return result(study, plan(study), totals)
