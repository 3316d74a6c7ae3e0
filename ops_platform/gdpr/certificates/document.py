"""The signed statement that a subject was erased: what was done, what the law keeps, what still expires.

It holds no identifier of the subject, only a commitment that the tombstone's salt opens. One for
each request, in the ops database and in the ledger bucket; whoever has the public key can check it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ops_platform.audit import PublicKeys, SigningKey, configured_public_keys, configured_signing_key
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import DataMap, Keep
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.subject import SubjectKey
from ops_platform.gdpr.tombstones import Tombstone
from ops_platform.settings import Settings

FORMAT = "ops-platform erasure certificate 1"
SHOWN = ("store", "place", "role", "action", "before", "changed", "after")
"""What each effect in a certificate says."""
LARGEST = 16 << 20
"""Bytes of a file that is read at all."""
LIMITS = (
    "PostgreSQL's VACUUM frees the space of deleted rows and does not overwrite it: on the disk their bytes "
    "stay until the pages are used again.",
    "Write-ahead log and backups made before hold the data until they expire; whatever is restored of "
    "them is erased again before it takes traffic.",
    "Processors were told; what they did is in their answers.",
)
"""What a reader must know that no erasure can change."""


class NotGenuine(CheckFailed):
    """A document that nobody with a known key has signed as it stands."""


@dataclass(frozen=True)
class Issued:
    """``document`` is the exact text that was signed; ``signature`` is base64."""

    request_id: str
    certificate_id: str
    document: str
    signature: str
    key_id: str
    issued_at: datetime

    @property
    def backups_expire_at(self) -> datetime:
        """When the last backup goes that can hold the data, as it says."""
        return datetime.fromisoformat(json.loads(self.document)["last_backup_expires_at"])

    def as_file(self) -> str:
        """What ``verify`` reads."""
        wrapped = {
            "certificate": json.loads(self.document),
            "key_id": self.key_id,
            "signature": self.signature,
        }
        return json.dumps(wrapped, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def compose(
    tombstone: Tombstone,
    data_map: DataMap,
    effects: Sequence[Effect],
    *,
    proof: Sequence[Mapping[str, Any]],
    residue: Mapping[str, int],
    backups_expire_at: datetime,
    now: datetime,
) -> dict[str, Any]:
    """The certificate of a finished erasure.

    ``proof``: of each step that changed rows, that nobody else's changed. ``residue``: rows found by
    place, after what the law keeps. Raises CheckFailed when either says that the erasure is not done.
    """
    left = [one.place for one in effects if one.after and one.store != "backups" and not _is_kept(one)]
    if residue or left:
        places = ", ".join(sorted({*residue, *left}))
        raise CheckFailed(f"nothing is certified while something is left: {places}")
    return {
        "format": FORMAT,
        "certificate_id": str(uuid4()),
        "request_id": tombstone.request_id,
        "stanza": tombstone.of.stanza,
        "subject_type": tombstone.of.kind,
        "commitment": commitment(tombstone.of, tombstone.salt),
        "map_version": data_map.version,
        "cutoff": _time(tombstone.erased_at),
        "issued_at": _time(now),
        "effects": [asdict(one) for one in effects],
        "others_unchanged": [dict(one) for one in proof],
        "residue_rows": 0,
        "kept_by_law": kept(data_map, effects),
        "last_backup_expires_at": _time(backups_expire_at),
        "limits": list(LIMITS),
    }


def _is_kept(one: Effect) -> bool:
    return one.action.startswith("keep")


def kept(data_map: DataMap, effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """What the map keeps by law, with how many rows of the subject's there are."""
    rows = {(one.place, one.role): one.after for one in effects if one.store == "postgresql"}
    return [
        {
            "table": str(table.name),
            "role": one.role,
            "basis": one.erasure.basis,
            "term": one.erasure.term,
            "rows": rows.get((str(table.name), one.role), 0),
        }
        for table, one in data_map.belongings()
        if isinstance(one.erasure, Keep)
    ]


def sign(certificate: Mapping[str, Any], key: SigningKey) -> Issued:
    document = canonical(certificate)
    return Issued(
        str(certificate["request_id"]),
        str(certificate["certificate_id"]),
        document,
        base64.b64encode(key.sign(document.encode())).decode(),
        key.key_id,
        datetime.fromisoformat(str(certificate["issued_at"])),
    )


def verify(text: bytes, keys: PublicKeys) -> dict[str, Any]:
    """The certificate in the file, checked. Raises NotGenuine with what is wrong with it."""
    try:
        wrapped = _strictly(text)
    except ValueError as error:
        raise NotGenuine(f"this is no certificate: {error}") from None
    if not isinstance(wrapped, dict) or set(wrapped) != {"certificate", "key_id", "signature"}:
        raise NotGenuine(
            "this is no certificate: it wants certificate, key_id and signature, and nothing else"
        )
    certificate, key_id, signature = (wrapped[name] for name in ("certificate", "key_id", "signature"))
    if not isinstance(certificate, dict) or not isinstance(key_id, str) or not isinstance(signature, str):
        raise NotGenuine("this is no certificate: key_id and signature are texts, certificate is an object")
    if not keys.knows(key_id):
        raise NotGenuine(
            f"it was signed with a key that is not known here: "
            f"get the public key {key_id[:16]!r} of its issuer"
        )
    try:
        signed = base64.b64decode(signature, validate=True)
        genuine = keys.verify(key_id, signed, canonical(certificate).encode())
    except (binascii.Error, ValueError):
        genuine = False
    if not genuine:
        raise NotGenuine("it was changed after it was signed, or the signature is another certificate's")
    if certificate.get("format") != FORMAT:
        raise NotGenuine("its signature is genuine, but it is no erasure certificate of this version")
    return certificate


def commitment(of: SubjectKey, salt: bytes) -> str:
    """Hex SHA-256 of the salt and the subject, each with its length before it."""
    parts = [salt, of.stanza.encode(), of.kind.encode(), of.key.encode()]
    return hashlib.sha256(b"".join(b"%d:%b," % (len(part), part) for part in parts)).hexdigest()


def canonical(certificate: Mapping[str, Any]) -> str:
    """The one spelling that is signed: sorted keys, no spaces, ASCII."""
    return json.dumps(certificate, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def signing_key(settings: Settings) -> SigningKey:
    """Raises ConfigurationError when it is missing or malformed."""
    return configured_signing_key(settings.gdpr.signing_key, "OPS_GDPR_SIGNING_KEY")


def public_keys(settings: Settings) -> PublicKeys:
    """Raises ConfigurationError when there is none, or one is malformed."""
    return configured_public_keys(settings.gdpr.public_key, "OPS_GDPR_PUBLIC_KEY", "OPS_GDPR_SIGNING_KEY")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _strictly(text: bytes) -> Any:
    """JSON that reads only one way: no name twice in an object, no number that is not whole. ValueError."""
    if len(text) > LARGEST:
        raise ValueError("it is larger than any certificate")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name stands in it twice")
        return found

    def never(number: str) -> Any:
        raise ValueError("it holds a number that is not whole")

    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=once, parse_float=never, parse_constant=never
        )
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
