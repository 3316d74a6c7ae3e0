"""A seal: what it says, the exact text that is signed, and its copy in the ledger bucket."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ops_platform.audit.keys import PublicKeys, SigningKey
from ops_platform.errors import OpsError

PREFIX = "audit/seals/"
GENESIS = "0" * 64
VERSION = "audit_seal/1"
FIRST_EPOCH = 1

_FIELDS = {
    "epoch": int,
    "number": int,
    "from_xid": int,
    "to_xid": int,
    "rows": int,
    "merkle_root": str,
    "previous": str,
    "sealed_at": str,
    "retain_until": str,
    "key_id": str,
}
_OPTIONAL = {"first_id": int, "last_id": int, "opens": int, "void_from": int}


class MalformedSeal(OpsError):
    """A text that is not a seal's."""


@dataclass(frozen=True)
class Seal:
    """A statement about the events of ``epoch`` with ``from_xid`` <= xid < ``to_xid``.

    ``rows``, ``first_id``, ``last_id`` and ``merkle_root`` (hex) are theirs in the order (xid, id).
    ``previous`` is the hash of the seal before (GENESIS for the first). Times are ISO 8601, UTC.
    A seal with ``opens`` starts that epoch after a restore: it covers all events of ``epoch``
    from ``from_xid`` on, with no upper end; ``to_xid`` is where the new epoch starts, and the
    seals from ``void_from`` to the one before it are about events that the restore lost.
    """

    epoch: int
    number: int
    from_xid: int
    to_xid: int
    rows: int
    first_id: int | None
    last_id: int | None
    merkle_root: str
    previous: str
    sealed_at: str
    retain_until: str
    key_id: str
    opens: int | None = None
    void_from: int | None = None

    @property
    def next_epoch(self) -> int:
        """The epoch of the events after this seal."""
        return self.epoch if self.opens is None else self.opens

    def document(self) -> str:
        """Canonical JSON: keys sorted, no space, every field present; what is signed and hashed."""
        return json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class SignedSeal:
    """A seal with its signature. ``document`` is kept as it was read: hashes and signatures are over it."""

    seal: Seal
    document: str
    signature: bytes

    @property
    def hash(self) -> str:
        """What the next seal names as ``previous``: hex SHA-256 of the document."""
        return hashlib.sha256(self.document.encode()).hexdigest()

    @property
    def key(self) -> str:
        """Its key in the ledger bucket."""
        return object_key(self.seal.number)

    def signature_text(self) -> str:
        return base64.b64encode(self.signature).decode()

    def is_signed_by(self, keys: PublicKeys) -> bool:
        return keys.verify(self.seal.key_id, self.signature, self.document.encode())


@dataclass(frozen=True)
class SealCopy:
    """What the bucket holds of a seal: the signed seal, and (id, leaf hash) of every event, which
    lets a verifier name the event that differs.
    """

    signed: SignedSeal
    leaves: Sequence[tuple[int, bytes]]

    def body(self) -> bytes:
        """Line 1 the document, line 2 the signature in base64, then one line ``id leaf`` per event."""
        lines = [self.signed.document, self.signed.signature_text()]
        lines.extend(f"{event_id} {leaf.hex()}" for event_id, leaf in self.leaves)
        return ("\n".join(lines) + "\n").encode()

    @classmethod
    def parse(cls, body: bytes) -> SealCopy:
        """Raises MalformedSeal."""
        try:
            document, signature, *leaves = body.decode().splitlines()
            pairs = [line.split(" ") for line in leaves]
            parsed = [(int(event_id), bytes.fromhex(leaf)) for event_id, leaf in pairs]
        except ValueError:
            raise MalformedSeal(
                "not a seal: document, signature and leaves were expected, a line each"
            ) from None
        return cls(parse(document, signature), parsed)


def sign(seal: Seal, key: SigningKey) -> SignedSeal:
    document = seal.document()
    return SignedSeal(seal, document, key.sign(document.encode()))


def parse(document: str, signature: str) -> SignedSeal:
    """Read a document and its base64 signature, which is not checked here. Raises MalformedSeal."""
    try:
        fields = json.loads(document)
        raw = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        raise MalformedSeal("not a seal: its document is no JSON or its signature no base64") from None
    if not isinstance(fields, dict) or fields.pop("version", None) != VERSION:
        raise MalformedSeal(f"not a seal of the form {VERSION}")
    seal = Seal(**_checked(fields))
    if seal.document() != document:
        raise MalformedSeal("its document is not in canonical form")
    return SignedSeal(seal, document, raw)


def object_key(number: int) -> str:
    return f"{PREFIX}{number:012d}"


def number_of(key: str) -> int | None:
    """The number of the seal stored under ``key``; None when it is no seal's key."""
    digits = key.removeprefix(PREFIX)
    return int(digits) if digits.isascii() and digits.isdigit() and object_key(int(digits)) == key else None


def timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    if fields.keys() != _FIELDS.keys() | _OPTIONAL.keys():
        raise MalformedSeal("its document has missing or unknown fields")
    for name, kind in (_FIELDS | _OPTIONAL).items():
        value = fields[name]
        if not (type(value) is kind or (value is None and name in _OPTIONAL)):
            raise MalformedSeal(f"its field {name} is malformed")
    for name in ("sealed_at", "retain_until"):
        try:
            zone = moment(fields[name]).tzinfo
        except ValueError:
            zone = None
        if zone is None:
            raise MalformedSeal(f"its field {name} is no time with a zone")
    return fields
