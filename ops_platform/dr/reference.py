"""What the source of a backup looked like at a moment: taken, signed, stored, found again.

Holds names, counts and hashes, no row's values. What a restored copy is asked with it is in
``catalogue`` and ``content``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from ops_platform.audit.keys import PublicKeys, SigningKey
from ops_platform.backup.context import BackupContext
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.dr import catalogue, fingerprint
from ops_platform.dr.fingerprint import Closed, Live
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.settings import Settings

MARGIN = timedelta(seconds=120)
"""Rows younger than this may still be uncommitted, or not archived yet: they are not closed."""
KEEP = timedelta(days=45)


@dataclass(frozen=True)
class Reference:
    """``marker``: rows of append-only tables that are older are closed."""

    stanza: str
    database: str
    taken_at: datetime
    marker: datetime
    roles: Mapping[str, str]
    extensions: Mapping[str, str]
    live: Mapping[str, Live]
    closed: Mapping[str, Closed]
    unvalidated: tuple[str, ...]
    objects: Mapping[str, str] = field(repr=False)


def take(ctx: BackupContext, earlier: Reference | None, erased_since: bool) -> Reference:
    """Read the live source. Closed rows are added to those of ``earlier``, unless somebody was erased since.

    Raises Unavailable when the source is away, CheckFailed when ``append_only`` names what is not there.
    """
    with postgres.session(ctx.database_url, application="ops-platform reference") as source:
        source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        fingerprint.fix_session(source)
        row = source.execute(
            """
            SELECT current_database() AS database, clock_timestamp() AS now,
                   least(now() - %s, (SELECT min(xact_start) FROM pg_stat_activity
                                      WHERE backend_type = 'client backend')) AS marker
            """,
            (MARGIN,),
        ).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        marker = row["marker"]
        return Reference(
            stanza=ctx.stanza.name,
            database=row["database"],
            taken_at=row["now"],
            marker=marker,
            roles=catalogue.role_hashes(source),
            extensions=catalogue.extension_versions(source),
            live=fingerprint.live(source),
            closed=_closed(source, ctx, marker, None if erased_since else earlier),
            unvalidated=unvalidated(source),
            objects=catalogue.objects(source),
        )


def _closed(
    source: Connection, ctx: BackupContext, marker: datetime, earlier: Reference | None
) -> dict[str, Closed]:
    found = {}
    for table, column in ctx.stanza.append_only.items():
        before = None if earlier is None else earlier.closed.get(table)
        if (
            earlier is not None
            and before is not None
            and before.column == column
            and earlier.marker <= marker
        ):
            found[table] = before + fingerprint.closed(source, table, column, marker, earlier.marker)
        else:
            found[table] = fingerprint.closed(source, table, column, marker)
    return found


def unvalidated(connection: Connection) -> tuple[str, ...]:
    """Constraints that were never validated: at the source that is a choice, not damage."""
    rows = connection.execute(
        """
        SELECT conrelid::regclass::text || '.' || quote_ident(conname) AS name FROM pg_constraint
        WHERE NOT convalidated AND conrelid <> 0 ORDER BY 1
        """
    ).fetchall()
    return tuple(row["name"] for row in rows)


def store(ops: Connection, one: Reference, key: SigningKey) -> None:
    """Keep it, signed; the same again changes nothing. In the caller's transaction."""
    signed = sign(one, key)
    ops.execute(
        "INSERT INTO dr_catalogues (digest, objects) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (catalogue.digest(one.objects), Jsonb(dict(one.objects))),
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
        _document(one, catalogue.digest(one.objects)), sort_keys=True, separators=(",", ":")
    )
    return Signed(document, key.key_id, base64.b64encode(key.sign(document.encode())).decode())


def opened(
    signed: Signed, keys: PublicKeys, stanza: str, objects: Callable[[str], Mapping[str, str] | None]
) -> Reference:
    """The reference behind the text; ``objects`` gives the catalogue of a digest.

    Raises CheckFailed when anything of it was changed, or it is another stanza's.
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
    if document["stanza"] != stanza:
        raise CheckFailed(f"a reference of stanza {document['stanza']} stands among those of {stanza}")
    kept = objects(document["catalogue"])
    if kept is None or catalogue.digest(kept) != document["catalogue"]:
        raise CheckFailed(f"the catalogue of a reference of stanza {stanza} is missing or was changed")
    return _parse(document, kept)


def before(ops: Connection, keys: PublicKeys, stanza: str, moment: datetime) -> Reference | None:
    """The newest one taken at ``moment`` or earlier. Raises CheckFailed when it was tampered with."""
    return _read(ops, keys, stanza, "taken_at <= %s ORDER BY taken_at DESC", moment)


def after(ops: Connection, keys: PublicKeys, stanza: str, moment: datetime) -> Reference | None:
    """The oldest one taken later."""
    return _read(ops, keys, stanza, "taken_at > %s ORDER BY taken_at", moment)


def closed_before(ops: Connection, keys: PublicKeys, stanza: str, moment: datetime) -> Reference | None:
    """The newest one all of whose closed rows are older than ``moment``."""
    return _read(ops, keys, stanza, "marker <= %s ORDER BY marker DESC", moment)


def prune(ops: Connection, now: datetime) -> int:
    """Delete references that no backup reaches back to, and catalogues that nobody names; how many."""
    gone = ops.execute("DELETE FROM dr_references WHERE taken_at < %s", (now - KEEP,)).rowcount
    ops.execute(
        """
        DELETE FROM dr_catalogues AS c WHERE NOT EXISTS (
            SELECT FROM dr_references AS r WHERE r.document::jsonb ->> 'catalogue' = c.digest)
        """
    )
    return gone


def signing_key(settings: Settings) -> SigningKey:
    """Raises ConfigurationError when it is missing or malformed."""
    secret = settings.dr.signing_key
    if secret is None:
        raise ConfigurationError(
            "OPS_DR_SIGNING_KEY is not set: make one with 'openssl genpkey -algorithm ed25519' "
            "and set OPS_DR_SIGNING_KEY_FILE"
        )
    return SigningKey(secret.get_secret_value(), "OPS_DR_SIGNING_KEY")


def public_keys(settings: Settings) -> PublicKeys:
    if settings.dr.public_key is None:
        raise ConfigurationError(
            "OPS_DR_PUBLIC_KEY is not set: set it to the public half of OPS_DR_SIGNING_KEY"
        )
    return PublicKeys.parse(settings.dr.public_key, "OPS_DR_PUBLIC_KEY")


def _read(ops: Connection, keys: PublicKeys, stanza: str, which: str, moment: datetime) -> Reference | None:
    row = ops.execute(
        f"SELECT document, key_id, signature FROM dr_references WHERE stanza = %s AND {which} LIMIT 1",  # noqa: S608
        (stanza, moment),
    ).fetchone()
    if row is None:
        return None

    def objects(digest: str) -> Mapping[str, str] | None:
        kept = ops.execute("SELECT objects FROM dr_catalogues WHERE digest = %s", (digest,)).fetchone()
        return None if kept is None else kept["objects"]

    return opened(Signed(row["document"], row["key_id"], row["signature"]), keys, stanza, objects)


def _document(one: Reference, digest: str) -> dict[str, Any]:
    return {
        "format": 1,
        "stanza": one.stanza,
        "database": one.database,
        "taken_at": one.taken_at.astimezone(UTC).isoformat(),
        "marker": one.marker.astimezone(UTC).isoformat(),
        "catalogue": digest,
        "roles": dict(one.roles),
        "extensions": dict(one.extensions),
        "live": {name: [table.rows, table.inserted, table.deleted] for name, table in one.live.items()},
        "closed": {name: table.as_json() for name, table in one.closed.items()},
        "unvalidated": list(one.unvalidated),
    }


def _parse(document: Mapping[str, Any], objects: Mapping[str, str]) -> Reference:
    return Reference(
        stanza=document["stanza"],
        database=document["database"],
        taken_at=datetime.fromisoformat(document["taken_at"]),
        marker=datetime.fromisoformat(document["marker"]),
        roles=document["roles"],
        extensions=document["extensions"],
        live={name: Live(*numbers) for name, numbers in document["live"].items()},
        closed={name: Closed.parse(value) for name, value in document["closed"].items()},
        unvalidated=tuple(document["unvalidated"]),
        objects=objects,
    )
