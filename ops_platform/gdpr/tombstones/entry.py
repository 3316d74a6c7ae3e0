"""One tombstone: whom not to let come back, and how its copy in the ledger is named and written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.subject import SubjectKey

LEDGER_PREFIX = "tombstones/"
"""Below it, in the ledger bucket: ``<stanza>/<opaque id>``."""


@dataclass(frozen=True)
class Tombstone:
    """``erased_at`` is the cutoff: what is newer is not erased again. ``salt`` makes the commitment.

    ``completed_at``: None when the erasure is not known to be complete; sealed copies never know.
    """

    of: SubjectKey
    erased_at: datetime
    request_id: str
    map_version: str
    salt: bytes
    completed_at: datetime | None = None

    @property
    def ledger_key(self) -> str:
        """The same for the same tombstone, and nothing that anybody could guess a subject by."""
        named = f"{self.request_id} {self.erased_at.astimezone(UTC).isoformat()} {self.salt.hex()}"
        return f"{LEDGER_PREFIX}{self.of.stanza}/{hashlib.sha256(named.encode()).hexdigest()[:40]}"


def document(one: Tombstone) -> bytes:
    """What is sealed."""
    return json.dumps(
        {
            "format": 1,
            "stanza": one.of.stanza,
            "subject_type": one.of.kind,
            "subject_key": one.of.key,
            "subject_key_type": one.of.key_type,
            "erased_at": one.erased_at.astimezone(UTC).isoformat(),
            "request_id": one.request_id,
            "map_version": one.map_version,
            "salt": one.salt.hex(),
        },
        sort_keys=True,
    ).encode()


def parse(plain: bytes, key: str) -> Tombstone:
    """The tombstone of a ``document`` that was found at ``key``. Raises CheckFailed for another version's."""
    document = json.loads(plain)
    if document.get("format") != 1:
        raise CheckFailed(f"the tombstone {key} was written by another version: use that one")
    return Tombstone(
        SubjectKey(
            document["stanza"],
            document["subject_type"],
            document["subject_key"],
            document["subject_key_type"],
        ),
        datetime.fromisoformat(document["erased_at"]),
        document["request_id"],
        document["map_version"],
        bytes.fromhex(document["salt"]),
    )
