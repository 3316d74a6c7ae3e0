"""The reference: the source of a backup as it was at a moment, signed and stored in the ops database.

Holds names, counts and hashes, no row's values. It is taken by ``capture``; restored copies are
compared with it in ``schema_comparison`` and ``data_checks``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from ops_platform.audit import PublicKeys, SigningKey, configured_public_keys, configured_signing_key
from ops_platform.backup.wal import History
from ops_platform.clients.postgres import Connection
from ops_platform.dr.inspection import ClosedRows, LiveTable, schema_comparison
from ops_platform.errors import CheckFailed
from ops_platform.settings import Settings

FORMAT = 1
PASSED_OVER = 200
"""So many references of what a restore left behind are passed over: a week of them."""


@dataclass(frozen=True)
class Reference:
    """The source at the moment ``taken_at``.

    ``marker``: rows of append-only tables that are older are closed. ``live``: the row counts of all
    tables but the ``unread``, by name; ``closed``: those of append-only tables. ``behind``, ``invalid``
    and ``unvalidated``: names of sequences, indexes and constraints with a defect. ``others``: the
    cluster's other databases that were read, whose name stands before the names of their objects;
    ``not_entered``: those that could not be. ``lineage`` is the cluster and its timeline;
    ``statistics`` changes when the counts of inserts and deletes are reset. ``objects``: name and hash.
    """

    stanza: str
    database: str
    taken_at: datetime
    marker: datetime
    lineage: str
    roles: Mapping[str, str]
    extensions: Mapping[str, str]
    statistics: str
    live: Mapping[str, LiveTable]
    unread: tuple[str, ...]
    closed: Mapping[str, ClosedRows]
    behind: tuple[str, ...]
    invalid: tuple[str, ...]
    unvalidated: tuple[str, ...]
    others: tuple[str, ...]
    not_entered: tuple[str, ...]
    objects: Mapping[str, str] = field(repr=False)
    change_marks: Mapping[str, str] = field(default_factory=dict)
    """The catalogue's mark of each database that was read, "" for the cluster; see ``change_mark``."""

    @property
    def timeline(self) -> int:
        """The timeline that the source wrote then."""
        return int(self.lineage.rpartition("/")[2], 16)

    def lies_on(self, history: History, last_beat: Callable[[int, int], datetime | None]) -> bool:
        """Tell whether it is of what ``history`` goes on from, as far as is known.

        One of an earlier timeline lies there if it was taken before that was left: before the time that the
        history names, or before a heartbeat (``last_beat``: timeline, LSN -> time) of before that point.
        """
        if self.timeline == history.timeline:
            return True
        for timeline, lsn in history.left:
            if timeline == self.timeline:
                known = (history.first_lost.get(timeline), last_beat(timeline, lsn))
                return any(moment is not None and self.taken_at < moment for moment in known)
        return False

    def qualified_name(self, database: str, name: str) -> str | None:
        """Return the name that an object of ``database`` has here; None: the database was not read."""
        if database == self.database:
            return name
        return f"{database}: {name}" if database in self.others else None


class OtherFormat(CheckFailed):
    """The reference is genuine, but was written by another version of this software."""


def store(ops: Connection, reference: Reference, key: SigningKey) -> None:
    """Sign and store it, in the caller's transaction; storing the same again changes nothing."""
    signed = sign(reference, key)
    ops.execute(
        "INSERT INTO dr_catalogues (digest, objects) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (schema_comparison.digest(reference.objects), Jsonb(dict(reference.objects))),
    )
    ops.execute(
        """
        INSERT INTO dr_references (stanza, taken_at, marker, document, key_id, signature)
        VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
        """,
        (
            reference.stanza,
            reference.taken_at,
            reference.marker,
            signed.document,
            signed.key_id,
            signed.signature,
        ),
    )


@dataclass(frozen=True)
class SignedReference:
    """A reference as it is stored: its exact JSON text, the signing key's id and the signature (base64)."""

    document: str
    key_id: str
    signature: str


def sign(reference: Reference, key: SigningKey) -> SignedReference:
    """Write the reference as canonical JSON and sign it; its objects are signed by their digest."""
    document = json.dumps(
        _document(reference, schema_comparison.digest(reference.objects)),
        sort_keys=True,
        separators=(",", ":"),
    )
    return SignedReference(document, key.key_id, base64.b64encode(key.sign(document.encode())).decode())


def open_signed(
    signed: SignedReference,
    keys: PublicKeys,
    stanza: str,
    objects: Callable[[str], Mapping[str, str] | None],
    taken_at: datetime | None = None,
) -> Reference:
    """Verify and read a signed reference; ``objects`` returns the catalogue with a digest.

    Raises CheckFailed when anything of it was changed, or it is not of ``stanza`` or ``taken_at``;
    OtherFormat when another version wrote it.
    """
    text = signed.document
    try:
        genuine = keys.verify(signed.key_id, base64.b64decode(signed.signature), text.encode())
    except ValueError:
        genuine = False
    if not genuine:
        raise CheckFailed(
            f"a reference of stanza {stanza} was not signed by a known key: "
            "look at dr_references and OPS_DR_PUBLIC_KEY"
        )
    document = json.loads(text)
    if document.get("format") != FORMAT:
        raise OtherFormat(
            f"a reference of stanza {stanza} was written by another version: run the job dr_reference"
        )
    if document["stanza"] != stanza:
        raise CheckFailed(f"a reference of stanza {document['stanza']} stands among those of {stanza}")
    if taken_at is not None and datetime.fromisoformat(document["taken_at"]) != taken_at:
        raise CheckFailed(f"a reference of stanza {stanza} is filed under another time than its own")
    catalogue = objects(document["catalogue"])
    if catalogue is None or schema_comparison.digest(catalogue) != document["catalogue"]:
        raise CheckFailed(f"the catalogue of a reference of stanza {stanza} is missing or was changed")
    return _parse(document, catalogue)


def before(ops: Connection, keys: PublicKeys, stanza: str, moment: datetime) -> Reference | None:
    """Read the newest reference taken at ``moment`` or earlier; None when there is none.

    Raises CheckFailed when it was tampered with, OtherFormat when another version wrote it.
    """
    return _read(ops, keys, stanza, "taken_at <= %s ORDER BY taken_at DESC", moment)


def before_on(
    ops: Connection, keys: PublicKeys, stanza: str, moment: datetime, lies_on: Callable[[Reference], bool]
) -> Reference | None:
    """Read the newest reference taken at ``moment`` or earlier that ``lies_on`` what was restored.

    Those of what a restore left behind are passed over. None when there is none; raises like ``before``.
    """
    for _ in range(PASSED_OVER):
        reference = before(ops, keys, stanza, moment)
        if reference is None or lies_on(reference):
            return reference
        moment = reference.taken_at - timedelta(microseconds=1)
    return None


def after(ops: Connection, keys: PublicKeys, stanza: str, moment: datetime) -> Reference | None:
    """Read the oldest reference taken later than ``moment``; raises like ``before``."""
    return _read(ops, keys, stanza, "taken_at > %s ORDER BY taken_at", moment)


@dataclass(frozen=True)
class Newest:
    """The newest reference's time and marks, not verified; the number of references of the last hour."""

    taken_at: datetime
    change_marks: Mapping[str, str]
    in_last_hour: int


def newest(ops: Connection, stanza: str) -> Newest | None:
    """Read what tells whether another reference is due; None when there is none."""
    row = ops.execute(
        """
        SELECT taken_at, coalesce(document::jsonb -> 'change_marks', '{}') AS change_marks,
               (SELECT count(*) FROM dr_references AS recent
                WHERE recent.stanza = r.stanza
                  AND recent.taken_at > now() - interval '1 hour') AS in_last_hour
        FROM dr_references AS r WHERE stanza = %s ORDER BY taken_at DESC LIMIT 1
        """,
        (stanza,),
    ).fetchone()
    return None if row is None else Newest(**row)


def prune(ops: Connection, stanza: str, oldest: datetime) -> int:
    """Delete a stanza's references from before ``oldest``, and catalogues that none names any more.

    Returns the number of references.
    """
    deleted = ops.execute(
        "DELETE FROM dr_references WHERE stanza = %s AND taken_at < %s", (stanza, oldest)
    ).rowcount
    ops.execute(
        """
        DELETE FROM dr_catalogues AS c WHERE NOT EXISTS (
            SELECT FROM dr_references AS r WHERE r.document::jsonb ->> 'catalogue' = c.digest)
        """
    )
    return deleted


def signing_key(settings: Settings) -> SigningKey:
    """Read OPS_DR_SIGNING_KEY. Raises ConfigurationError when it is missing or malformed."""
    return configured_signing_key(settings.dr.signing_key, "OPS_DR_SIGNING_KEY")


def public_keys(settings: Settings) -> PublicKeys:
    """Read OPS_DR_PUBLIC_KEY, which verifies references; it may hold several keys.

    Raises ConfigurationError when it is missing or malformed.
    """
    return configured_public_keys(settings.dr.public_key, "OPS_DR_PUBLIC_KEY", "OPS_DR_SIGNING_KEY")


def _read(
    ops: Connection, keys: PublicKeys, stanza: str, condition: str, moment: datetime
) -> Reference | None:
    row = ops.execute(
        "SELECT taken_at, document, key_id, signature FROM dr_references "  # noqa: S608
        f"WHERE stanza = %s AND {condition} LIMIT 1",
        (stanza, moment),
    ).fetchone()
    if row is None:
        return None

    def objects(digest: str) -> Mapping[str, str] | None:
        catalogue = ops.execute("SELECT objects FROM dr_catalogues WHERE digest = %s", (digest,)).fetchone()
        return None if catalogue is None else catalogue["objects"]

    signed = SignedReference(row["document"], row["key_id"], row["signature"])
    return open_signed(signed, keys, stanza, objects, row["taken_at"])


def _document(reference: Reference, digest: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "stanza": reference.stanza,
        "database": reference.database,
        "taken_at": reference.taken_at.astimezone(UTC).isoformat(),
        "marker": reference.marker.astimezone(UTC).isoformat(),
        "lineage": reference.lineage,
        "catalogue": digest,
        "roles": dict(reference.roles),
        "extensions": dict(reference.extensions),
        "statistics": reference.statistics,
        "live": {name: list(astuple(table)) for name, table in reference.live.items()},
        "unread": list(reference.unread),
        "closed": {name: table.as_json() for name, table in reference.closed.items()},
        "behind": list(reference.behind),
        "invalid": list(reference.invalid),
        "unvalidated": list(reference.unvalidated),
        "others": list(reference.others),
        "not_entered": list(reference.not_entered),
        "change_marks": dict(reference.change_marks),
    }


def _parse(document: Mapping[str, Any], objects: Mapping[str, str]) -> Reference:
    return Reference(
        stanza=document["stanza"],
        database=document["database"],
        taken_at=datetime.fromisoformat(document["taken_at"]),
        marker=datetime.fromisoformat(document["marker"]),
        lineage=document["lineage"],
        roles=document["roles"],
        extensions=document["extensions"],
        statistics=document["statistics"],
        unread=tuple(document["unread"]),
        live={name: LiveTable(*numbers) for name, numbers in document["live"].items()},
        closed={name: ClosedRows.parse(value) for name, value in document["closed"].items()},
        behind=tuple(document["behind"]),
        invalid=tuple(document["invalid"]),
        unvalidated=tuple(document["unvalidated"]),
        others=tuple(document["others"]),
        not_entered=tuple(document["not_entered"]),
        objects=objects,
        # References of an earlier version have none.
        change_marks=document.get("change_marks", {}),
    )
