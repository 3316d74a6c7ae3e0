"""A seal: its fields, the exact text that is signed, and its copy in the ledger bucket."""

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
VERSION = "audit_seal/2"
FIRST_VERSION = "audit_seal/1"
"""Seals without ``next_xid``: they stay as they are, and are verified as before."""
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
_OPTIONAL = {"first_id": int, "last_id": int, "opens": int, "void_from": int, "next_xid": int}


class MalformedSeal(OpsError):
    """A text is not a seal."""


@dataclass(frozen=True)
class Seal:
    """A statement about the events of ``epoch`` with ``from_xid`` <= xid < ``to_xid``.

    ``rows`` (their count), ``first_id``, ``last_id`` and ``merkle_root`` (hex) describe these events in the
    order (xid, id). ``previous`` is the hash of the seal before (GENESIS for the first). Times are ISO 8601,
    UTC. A seal with ``opens`` starts that epoch after a restore: it covers all events of ``epoch``
    from ``from_xid`` on, with no upper end; ``to_xid`` is where the new epoch starts, and the
    seals from ``void_from`` to the one before this are about events that the restore lost.
    ``next_xid`` was the lowest transaction id that had not been given when the events were read: a
    transaction from it on began after this seal. None in seals of the first version.
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
    next_xid: int | None = None

    @property
    def next_epoch(self) -> int:
        """The epoch of the events after this seal."""
        return self.epoch if self.opens is None else self.opens

    def document(self) -> str:
        """Return the text that is signed and hashed: canonical JSON, keys sorted, no space, all fields."""
        fields = asdict(self)
        if self.next_xid is None:
            del fields["next_xid"]
        version = FIRST_VERSION if self.next_xid is None else VERSION
        return json.dumps({"version": version, **fields}, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class SignedSeal:
    """A seal with its signature. ``document`` is the text as it was read, which is hashed and signed."""

    seal: Seal
    document: str
    signature: bytes

    @property
    def hash(self) -> str:
        """Hex SHA-256 of the document; the next seal names it as ``previous``."""
        return hashlib.sha256(self.document.encode()).hexdigest()

    @property
    def key(self) -> str:
        """Its key in the ledger bucket."""
        return object_key(self.seal.number)

    def signature_text(self) -> str:
        """Return the signature in base64."""
        return base64.b64encode(self.signature).decode()

    def is_signed_by(self, keys: PublicKeys) -> bool:
        """Return whether the signature is that of the key that the seal names, and ``keys`` has it."""
        return keys.verify(self.seal.key_id, self.signature, self.document.encode())


@dataclass(frozen=True)
class SealCopy:
    """A seal's object in the bucket: the signed seal, and (id, leaf hash) of every event.

    The leaves let a verifier name the event that differs.
    """

    signed: SignedSeal
    leaves: Sequence[tuple[int, bytes]]

    def body(self) -> bytes:
        """Write the object: document, signature in base64, then ``id leaf`` per event, a line each."""
        lines = [self.signed.document, self.signed.signature_text()]
        lines.extend(f"{event_id} {leaf.hex()}" for event_id, leaf in self.leaves)
        return ("\n".join(lines) + "\n").encode()

    @classmethod
    def parse(cls, body: bytes) -> SealCopy:
        """Read the object that ``body`` writes. Raises MalformedSeal."""
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
    """Sign the seal's document."""
    document = seal.document()
    return SignedSeal(seal, document, key.sign(document.encode()))


def parse(document: str, signature: str) -> SignedSeal:
    """Read a document and its base64 signature, which is not checked here. Raises MalformedSeal."""
    try:
        fields = json.loads(document)
        raw = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        raise MalformedSeal("not a seal: its document is not JSON or its signature not base64") from None
    if not isinstance(fields, dict) or (version := fields.pop("version", None)) not in (
        FIRST_VERSION,
        VERSION,
    ):
        raise MalformedSeal(f"not a seal of the form {VERSION} or {FIRST_VERSION}")
    if version == FIRST_VERSION:
        fields.setdefault("next_xid", None)
    seal = Seal(**_checked(fields))
    if seal.document() != document:
        raise MalformedSeal("its document is not in canonical form")
    return SignedSeal(seal, document, raw)


def object_key(number: int) -> str:
    """Return the key of a seal's copy in the ledger bucket; keys sort by number."""
    return f"{PREFIX}{number:012d}"


def number_of(key: str) -> int | None:
    """Return the number of the seal stored under ``key``; None when it is not a seal's key."""
    digits = key.removeprefix(PREFIX)
    return int(digits) if digits.isascii() and digits.isdigit() and object_key(int(digits)) == key else None


def timestamp(moment: datetime) -> str:
    """Write an aware time as a seal's document has it: ISO 8601 in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """Read a time of a seal's document."""
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
            raise MalformedSeal(f"its field {name} is not a time with a zone")
    return fields
