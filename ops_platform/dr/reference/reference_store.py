"""What the source of a backup looked like at a moment: signed, stored, found again.

Holds names, counts and hashes, no row's values. How it is taken is in ``survey``; what a restored
copy is asked with it in ``catalogue`` and ``content``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg.types.json import Jsonb

from ops_platform.audit import PublicKeys, SigningKey, configured_public_keys, configured_signing_key
from ops_platform.clients.postgres import Connection
from ops_platform.dr.inspection import Closed, Live, schema_comparison
from ops_platform.errors import CheckFailed
from ops_platform.settings import Settings

FORMAT = 1


@dataclass(frozen=True)
class Reference:
    """``marker``: rows of append-only tables that are older are closed.

    What lies in one of the ``others`` databases has its name before it. ``lineage`` is the cluster
    and its timeline; ``statistics`` changes when counts of inserts and deletes begin anew.
    """

    stanza: str
    database: str
    taken_at: datetime
    marker: datetime
    lineage: str
    roles: Mapping[str, str]
    extensions: Mapping[str, str]
    statistics: str
    live: Mapping[str, Live]
    unread: tuple[str, ...]
    closed: Mapping[str, Closed]
    behind: tuple[str, ...]
    invalid: tuple[str, ...]
    unvalidated: tuple[str, ...]
    others: tuple[str, ...]
    not_entered: tuple[str, ...]
    objects: Mapping[str, str] = field(repr=False)

    def named(self, database: str, name: str) -> str | None:
        """What something of a database is called here; None when the database was not looked at."""
        if database == self.database:
            return name
        return f"{database}: {name}" if database in self.others else None


class OtherFormat(CheckFailed):
    """The reference is genuine, but of another version of this software."""


def store(ops: Connection, one: Reference, key: SigningKey) -> None:
    """Keep it, signed; the same again changes nothing. In the caller's transaction."""
    signed = sign(one, key)
    ops.execute(
        "INSERT INTO dr_catalogues (digest, objects) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (schema_comparison.digest(one.objects), Jsonb(dict(one.objects))),
    )
    ops.execute(
        """
        INSERT INTO dr_references (stanza, taken_at, marker, document, key_id, signature)
        VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
        """,
        (one.stanza, one.taken_at, one.marker, signed.document, signed.key_id, signed.signature),
    )


@dataclass(frozen=True)
class Signed:
    """A reference as it is kept: the exact text, and who signed it (base64)."""

    document: str
    key_id: str
    signature: str


def sign(one: Reference, key: SigningKey) -> Signed:
    document = json.dumps(
        _document(one, schema_comparison.digest(one.objects)), sort_keys=True, separators=(",", ":")
    )
    return Signed(document, key.key_id, base64.b64encode(key.sign(document.encode())).decode())


def opened(
    signed: Signed,
    keys: PublicKeys,
    stanza: str,
    objects: Callable[[str], Mapping[str, str] | None],
    taken_at: datetime | None = None,
) -> Reference:
    """The reference behind the text; ``objects`` gives the catalogue of a digest.

    Raises CheckFailed when anything of it was changed, it is another stanza's, or not of ``taken_at``;
    OtherFormat when it cannot be read for its age.
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
    kept = objects(document["catalogue"])
    if kept is None or schema_comparison.digest(kept) != document["catalogue"]:
        raise CheckFailed(f"the catalogue of a reference of stanza {stanza} is missing or was changed")
    return _parse(document, kept)


def before(ops: Connection, keys: PublicKeys, stanza: str, moment: datetime) -> Reference | None:
    """The newest one taken at ``moment`` or earlier. Raises CheckFailed when it was tampered with."""
    return _read(ops, keys, stanza, "taken_at <= %s ORDER BY taken_at DESC", moment)


def after(ops: Connection, keys: PublicKeys, stanza: str, moment: datetime) -> Reference | None:
    """The oldest one taken later."""
    return _read(ops, keys, stanza, "taken_at > %s ORDER BY taken_at", moment)


def prune(ops: Connection, stanza: str, oldest: datetime) -> int:
    """Delete a stanza's references of before ``oldest``, and catalogues that nobody names; how many."""
    gone = ops.execute(
        "DELETE FROM dr_references WHERE stanza = %s AND taken_at < %s", (stanza, oldest)
    ).rowcount
    ops.execute(
        """
        DELETE FROM dr_catalogues AS c WHERE NOT EXISTS (
            SELECT FROM dr_references AS r WHERE r.document::jsonb ->> 'catalogue' = c.digest)
        """
    )
    return gone


def signing_key(settings: Settings) -> SigningKey:
    """Raises ConfigurationError when it is missing or malformed."""
    return configured_signing_key(settings.dr.signing_key, "OPS_DR_SIGNING_KEY")


def public_keys(settings: Settings) -> PublicKeys:
    return configured_public_keys(settings.dr.public_key, "OPS_DR_PUBLIC_KEY", "OPS_DR_SIGNING_KEY")


def _read(ops: Connection, keys: PublicKeys, stanza: str, which: str, moment: datetime) -> Reference | None:
    row = ops.execute(
        "SELECT taken_at, document, key_id, signature FROM dr_references "  # noqa: S608
        f"WHERE stanza = %s AND {which} LIMIT 1",
        (stanza, moment),
    ).fetchone()
    if row is None:
        return None

    def objects(digest: str) -> Mapping[str, str] | None:
        kept = ops.execute("SELECT objects FROM dr_catalogues WHERE digest = %s", (digest,)).fetchone()
        return None if kept is None else kept["objects"]

    signed = Signed(row["document"], row["key_id"], row["signature"])
    return opened(signed, keys, stanza, objects, row["taken_at"])


def _document(one: Reference, digest: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "stanza": one.stanza,
        "database": one.database,
        "taken_at": one.taken_at.astimezone(UTC).isoformat(),
        "marker": one.marker.astimezone(UTC).isoformat(),
        "lineage": one.lineage,
        "catalogue": digest,
        "roles": dict(one.roles),
        "extensions": dict(one.extensions),
        "statistics": one.statistics,
        "live": {name: list(astuple(table)) for name, table in one.live.items()},
        "unread": list(one.unread),
        "closed": {name: table.as_json() for name, table in one.closed.items()},
        "behind": list(one.behind),
        "invalid": list(one.invalid),
        "unvalidated": list(one.unvalidated),
        "others": list(one.others),
        "not_entered": list(one.not_entered),
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
        live={name: Live(*numbers) for name, numbers in document["live"].items()},
        closed={name: Closed.parse(value) for name, value in document["closed"].items()},
        behind=tuple(document["behind"]),
        invalid=tuple(document["invalid"]),
        unvalidated=tuple(document["unvalidated"]),
        others=tuple(document["others"]),
        not_entered=tuple(document["not_entered"]),
        objects=objects,
    )
