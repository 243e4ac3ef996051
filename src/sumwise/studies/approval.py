"""A steward's yes to a study: a signature of its digest in the site's ledger.  A site runs nothing else."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature

from sumwise.engines.folder import LedgerFile
from sumwise.errors import UsageError
from sumwise.protocol.keys import SiteKeys
from sumwise.protocol.study import Study
from sumwise.studies.plan import check_software, plan
from sumwise.studies.site_file import SiteFile

_SIGNED = b"SUMA"
"""Begins what is signed, so that an approval is never taken for a message."""


def approve(site: SiteFile, study: Study, text: str, book: LedgerFile) -> None:
    """Notes the study file as it stands, and the signature.  Raises UsageError where the site is not in the study,
    and for a study that this version cannot run.
    """
    keys = site.keys()
    check_belongs(site, keys, study)
    check_software(study)
    plan(study)
    if is_approved(study, keys, book):
        return
    book.append("study", text.encode(), f"study '{study.id}', {study.digest().hex()[:12]}")
    book.append(
        "approval", keys.signing.sign(_SIGNED + study.digest()), f"study '{study.id}' approved by '{site.name}'"
    )


def is_approved(study: Study, keys: SiteKeys, book: LedgerFile) -> bool:
    """Whether the ledger holds this site's signature of this study."""
    public = keys.signing.public_key()
    for entry in book.entries:
        if entry.kind == "approval" and entry.payload is not None:
            try:
                public.verify(entry.payload, _SIGNED + study.digest())
            except InvalidSignature:
                continue
            return True
    return False


def check_belongs(site: SiteFile, keys: SiteKeys, study: Study) -> None:
    """Raises UsageError where the study does not know the site, or knows another key of it."""
    if site.name not in study.sites:
        raise UsageError(f"'{site.name}' is no site of study '{study.id}'; its sites are {', '.join(study.sites)}")
    if study.sites[site.name] != keys.public:
        raise UsageError(
            f"study '{study.id}' has another public key for '{site.name}' than {site.key} makes; whoever wrote the "
            f"study needs {keys.public.hex()}"
        )
