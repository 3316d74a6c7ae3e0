"""A tombstone: a subject who must stay erased, and the name and content of its copy in the ledger."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.subject import SubjectKey

LEDGER_PREFIX = "tombstones/"
"""Below it, in the ledger bucket: ``<stanza>/<opaque id>``."""


@dataclass(frozen=True)
class Tombstone:
    """The record of an erasure. ``erased_at`` is the cutoff: newer rows are not erased again.

    ``salt``: secret of the certificate's commitment to the subject. ``completed_at``: None when the erasure
    is not known to be complete; it is never part of a sealed copy.
    """

    subject_key: SubjectKey
    erased_at: datetime
    request_id: str
    map_version: str
    salt: bytes
    completed_at: datetime | None = None
    identity: bytes | None = field(default=None, compare=False, repr=False)
    """Who the subject was, sealed, where that was read with it: see ``sealed_identities``."""

    @property
    def opaque_id(self) -> str:
        """The name of its copies: the same for the same tombstone, and useless for guessing a subject."""
        identity = f"{self.request_id} {self.erased_at.astimezone(UTC).isoformat()} {self.salt.hex()}"
        return hashlib.sha256(identity.encode()).hexdigest()[:40]

    @property
    def ledger_key(self) -> str:
        """The key of its copy."""
        return f"{LEDGER_PREFIX}{self.subject_key.stanza}/{self.opaque_id}"


def document(tombstone: Tombstone) -> bytes:
    """Write the tombstone as the JSON document that is sealed; ``parse`` reads it."""
    return json.dumps(
        {
            # An older version of the platform would take the subject for one of the API's requests.
            "format": 1 if tombstone.subject_key.requestable else 2,
            **({} if tombstone.subject_key.requestable else {"requestable": False}),
            "stanza": tombstone.subject_key.stanza,
            "subject_type": tombstone.subject_key.kind,
            "subject_key": tombstone.subject_key.key,
            "subject_key_type": tombstone.subject_key.key_type,
            "erased_at": tombstone.erased_at.astimezone(UTC).isoformat(),
            "request_id": tombstone.request_id,
            "map_version": tombstone.map_version,
            "salt": tombstone.salt.hex(),
        },
        sort_keys=True,
    ).encode()


def parse(plain: bytes, key: str) -> Tombstone:
    """Parse a ``document`` that was found at ``key``. Raises CheckFailed for an unknown format."""
    document = json.loads(plain)
    if document.get("format") not in (1, 2):
        raise CheckFailed(
            f"the tombstone {key} was written by another version of ops-platform: use that version"
        )
    return Tombstone(
        SubjectKey(
            document["stanza"],
            document["subject_type"],
            document["subject_key"],
            document["subject_key_type"],
            document.get("requestable", True),
        ),
        datetime.fromisoformat(document["erased_at"]),
        document["request_id"],
        document["map_version"],
        bytes.fromhex(document["salt"]),
    )
