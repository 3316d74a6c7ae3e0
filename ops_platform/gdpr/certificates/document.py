"""The erasure certificate: what was done, what the law keeps, which backups still expire; signed.

It holds no identifier of the subject, only a commitment that the tombstone's salt opens. Anybody with
the public key can check it. ``certificate_store`` keeps certificates.
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
from ops_platform.gdpr.certificates.facts import Facts
from ops_platform.gdpr.data_map import DataMap, Keep
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.schema import Name
from ops_platform.gdpr.subject import SubjectKey
from ops_platform.gdpr.tombstones import Tombstone
from ops_platform.settings import Settings

FORMAT = "ops-platform erasure certificate 2"
FORMATS = ("ops-platform erasure certificate 1", FORMAT)
"""All formats that were ever issued: each stays verifiable. The first lacks the members of ``Facts``."""
EFFECT_FIELDS = ("store", "place", "role", "action", "before", "changed", "after")
"""The fields of each effect in a certificate."""
TRUSTED_TIME = "trusted_time"
"""The one optional member of a file, beside the certificate: its token is over the signed document."""
LARGEST = 16 << 20
"""Bytes of the largest file that is read."""
LIMITS = (
    "PostgreSQL's VACUUM frees the space of deleted rows and does not overwrite it: on the disk their bytes "
    "stay until the pages are used again.",
    "Write-ahead log and backups made before hold the data until they expire; whatever is restored of "
    "them is erased again before it takes traffic.",
    "Expired backups stay in the bucket's versions under object lock, which nobody can shorten, and for some "
    "days more; last_backup_expires_at counts until these are deleted, too.",
    "Processors were told; what they did is in their answers.",
)
"""Facts for the reader of a certificate that no erasure can change."""
CONSEQUENCES = {
    "keep": "These rows stay as they were for the others who need them.",
    "stand_in": "These rows stay for the others who need them; nothing in them names the subject.",
    "delete": "These rows were erased although others reached them, too: they are gone for them as well.",
}
"""For others, of what the data map says of rows that are theirs, too."""


class NotGenuine(CheckFailed):
    """A document is not, as it stands, a certificate signed with a known key."""


@dataclass(frozen=True)
class Issued:
    """A signed certificate: ``document`` is the exact text that was signed; ``signature`` is base64."""

    request_id: str
    certificate_id: str
    document: str
    signature: str
    key_id: str
    issued_at: datetime

    @property
    def backups_expire_at(self) -> datetime:
        """Expiry, by the certificate, of the last backup that can hold the data."""
        return datetime.fromisoformat(json.loads(self.document)["last_backup_expires_at"])

    @property
    def confirmed_at(self) -> datetime | None:
        """When the request was confirmed; None where the certificate does not say it."""
        at = json.loads(self.document).get("confirmed_at")
        return None if at is None else datetime.fromisoformat(at)

    @property
    def file_name(self) -> str:
        """Name of the certificate as a file."""
        return f"erasure-certificate-{self.request_id}.json"

    @property
    def page_name(self) -> str:
        """Name of the certificate's page as a file."""
        return f"erasure-certificate-{self.request_id}.html"

    def as_file(self, trusted_time: bytes | None = None) -> str:
        """Return the JSON text that ``verify`` reads. ``trusted_time``: the token, None without one."""
        wrapped = {
            "certificate": json.loads(self.document),
            "key_id": self.key_id,
            "signature": self.signature,
        }
        if trusted_time is not None:
            wrapped[TRUSTED_TIME] = base64.b64encode(trusted_time).decode()
        return json.dumps(wrapped, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def compose(
    tombstone: Tombstone,
    data_map: DataMap,
    effects: Sequence[Effect],
    *,
    proof: Sequence[Mapping[str, Any]],
    residue: Mapping[str, int],
    not_searched: Mapping[str, str] | None = None,
    backups_expire_at: datetime,
    now: datetime,
    accepted: Mapping[str, Mapping[tuple[Name, str], int]] | None = None,
    facts: Facts | None = None,
    about_others: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Compose the certificate of a finished erasure, not signed yet.

    ``proof``: for each step that changed rows, the result of the check that nobody else's changed.
    ``residue``: rows still found, by place, without what the law keeps. ``accepted``: rows in which the
    subject stays named, by database ("" is the home) and the relation and column that its part of the map
    accepts. ``not_searched``: identifiers for which nothing but what the map names was looked at, and why.
    ``facts`` None: as certificates were before there were any. ``about_others``: how others' rows were told
    apart, and what became of rows that were theirs, too. Raises CheckFailed when residue or effects show that
    something is left.
    """
    left = [
        effect.place
        for effect in effects
        if effect.after and effect.store != "backups" and not _is_kept(effect)
    ]
    if residue or left:
        places = ", ".join(sorted({*residue, *left}))
        raise CheckFailed(f"nothing is certified while something is left: {places}")
    return {
        "format": FORMATS[0] if facts is None else FORMAT,
        "certificate_id": str(uuid4()),
        "request_id": tombstone.request_id,
        "stanza": tombstone.subject_key.stanza,
        "subject_type": tombstone.subject_key.kind,
        "commitment": commitment(tombstone.subject_key, tombstone.salt),
        "map_version": data_map.version,
        **({} if facts is None else facts.document()),
        "cutoff": _time(tombstone.erased_at),
        "issued_at": _time(now),
        "effects": [asdict(effect) for effect in effects],
        "others_unchanged": [dict(check) for check in proof],
        "others_told_apart": dict((about_others or {}).get("others_told_apart", {})),
        "shared_with_others": [
            {**rows, "consequence": CONSEQUENCES[rows["becomes"]]}
            for rows in (about_others or {}).get("shared_with_others", ())
        ],
        "residue_rows": 0,
        "not_searched": dict(not_searched or {}),
        "kept_by_law": _kept_by_law(data_map, effects),
        "accepted": _accepted(data_map, accepted or {}),
        "last_backup_expires_at": _time(backups_expire_at),
        "limits": [
            *LIMITS,
            *(limit for database in (facts.databases if facts else ()) for limit in database.limits),
        ],
    }


def _is_kept(effect: Effect) -> bool:
    return effect.action.startswith("keep")


def _kept_by_law(data_map: DataMap, effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """List what the map keeps by law, with the number of the subject's rows."""
    rows = {(effect.place, effect.role): effect.after for effect in effects if effect.store == "postgresql"}
    return [
        {
            "table": part.place(table.name),
            "role": belonging.role,
            "basis": belonging.erasure.basis,
            "term": belonging.erasure.term,
            "rows": rows.get((part.place(table.name), belonging.role), 0),
        }
        for part in data_map.everywhere
        for table, belonging in part.belongings()
        if isinstance(belonging.erasure, Keep)
    ]


def _accepted(data_map: DataMap, rows: Mapping[str, Mapping[tuple[Name, str], int]]) -> list[dict[str, Any]]:
    """List where the subject stays named because the map accepts it, with the reason."""
    return [
        {"place": part.place(place), "because": place.because, "rows": found[place.place]}
        for part in data_map.everywhere
        for found in [rows.get(part.database.name if part.database else "", {})]
        for place in part.accepted
        if found.get(place.place)
    ]


def sign(certificate: Mapping[str, Any], key: SigningKey) -> Issued:
    """Sign the certificate's canonical form; store nothing."""
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
    """Check a certificate file and return the certificate. Raises NotGenuine with the reason."""
    try:
        wrapped = _strict_json(text)
    except ValueError as error:
        raise NotGenuine(f"this is not a certificate: {error}") from None
    if not isinstance(wrapped, dict) or {*wrapped} - {TRUSTED_TIME} != {"certificate", "key_id", "signature"}:
        raise NotGenuine(
            "this is not a certificate: it must have certificate, key_id and signature, and nothing else but "
            "a trusted_time"
        )
    certificate, key_id, signature = (wrapped[name] for name in ("certificate", "key_id", "signature"))
    if not isinstance(certificate, dict) or not isinstance(key_id, str) or not isinstance(signature, str):
        raise NotGenuine(
            "this is not a certificate: certificate must be an object, key_id and signature strings"
        )
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
    if certificate.get("format") not in FORMATS:
        raise NotGenuine("its signature is genuine, but it is no erasure certificate of this version")
    return certificate


def trusted_time_in(text: bytes) -> bytes | None:
    """Read the token in a certificate file that ``verify`` accepts; None: it has no trusted time.

    Raises NotGenuine when it is not base64.
    """
    encoded = json.loads(text).get(TRUSTED_TIME)
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise NotGenuine("its trusted time is not base64: it was changed") from None


def commitment(subject: SubjectKey, salt: bytes) -> str:
    """Hash the salt, stanza, kind and key, each with its length before it: SHA-256 in hex."""
    parts = [salt, subject.stanza.encode(), subject.kind.encode(), subject.key.encode()]
    return hashlib.sha256(b"".join(b"%d:%b," % (len(part), part) for part in parts)).hexdigest()


def canonical(certificate: Mapping[str, Any]) -> str:
    """Write the certificate in the form that is signed: sorted keys, no spaces, ASCII."""
    return json.dumps(certificate, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def signing_key(settings: Settings) -> SigningKey:
    """Read the signing key. Raises ConfigurationError when it is missing or malformed."""
    return configured_signing_key(settings.gdpr.signing_key, "OPS_GDPR_SIGNING_KEY")


def public_keys(settings: Settings) -> PublicKeys:
    """Read the public keys. Raises ConfigurationError when there is none, or one is malformed."""
    return configured_public_keys(settings.gdpr.public_key, "OPS_GDPR_PUBLIC_KEY", "OPS_GDPR_SIGNING_KEY")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _strict_json(text: bytes) -> Any:
    """Parse JSON that reads only one way: no name twice in an object, whole numbers only.

    Raises ValueError with the reason.
    """
    if len(text) > LARGEST:
        raise ValueError("it is larger than any certificate")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("an object in it has the same name twice")
        return members

    def refuse(number: str) -> Any:
        raise ValueError("it holds a number that is not an integer")

    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=unique, parse_float=refuse, parse_constant=refuse
        )
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
