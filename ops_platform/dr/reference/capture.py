"""Reading the live source of a stanza into a reference: all of its cluster that the worker may enter.

What a reference is, and how it is kept, is in ``reference``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
from psycopg.conninfo import make_conninfo

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.safe_errors import describe
from ops_platform.dr.inspection import (
    EXACT_ROWS,
    Closed,
    inherent_defects,
    row_fingerprints,
    schema_comparison,
)
from ops_platform.dr.reference.reference_store import Reference
from ops_platform.errors import Unavailable

MARGIN = timedelta(seconds=120)
"""Rows younger than this are not closed, even where nobody is seen writing."""
PREPARED = timedelta(days=1)
"""A prepared transaction tells when it was prepared, not when it began."""

# Whoever may still write rows stamped with the start of a transaction.
_WRITERS = """
    SELECT least(now() - %(margin)s,
                 (SELECT min(xact_start) FROM pg_stat_activity
                  WHERE pid <> pg_backend_pid() AND (datname = current_database() OR datname IS NULL)
                    AND backend_type NOT IN ('autovacuum worker', 'walsender')),
                 (SELECT min(prepared) - %(prepared)s FROM pg_prepared_xacts
                  WHERE database = current_database())) AS marker
"""
_SITUATION = """
    SELECT current_database() AS database, clock_timestamp() AS now,
           (SELECT system_identifier FROM pg_control_system()) || '/'
               || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS lineage
"""
_OTHERS = """
    SELECT datname AS name, has_database_privilege(oid, 'CONNECT') AS open FROM pg_database
    WHERE datallowconn AND NOT datistemplate AND datname <> current_database() ORDER BY datname
"""


@dataclass
class _Look:
    """What was seen of one database after the other."""

    objects: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, str] = field(default_factory=dict)
    behind: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    unvalidated: list[str] = field(default_factory=list)

    def at(self, connection: Connection, prefix: str) -> None:
        def named(found: Mapping[str, str]) -> dict[str, str]:
            return {prefix + name: hash_ for name, hash_ in found.items()}

        self.objects |= named(schema_comparison.objects(connection))
        self.extensions |= named(schema_comparison.extension_versions(connection))
        self.behind += [prefix + one for one in inherent_defects.sequences_behind(connection).names]
        self.invalid += [prefix + one for one in inherent_defects.invalid_indexes(connection).names]
        self.unvalidated += [
            prefix + one for one in inherent_defects.unvalidated_constraints(connection).names
        ]


def take(ctx: BackupContext, earlier: Reference | None, erased_since: bool) -> Reference:
    """Read the live source. Closed rows of large tables are added to those of ``earlier``.

    Small ones are read anew, and all of them when somebody was erased since. Raises Unavailable
    when the source is away or a table is locked, CheckFailed when ``append_only`` names what is not there.
    """
    try:
        return _take(ctx, earlier, erased_since)
    except psycopg.Error as error:
        raise Unavailable(
            f"no reference of stanza {ctx.stanza.name} could be taken: {describe(error)}; "
            "if a table was being changed, run the job dr_reference again"
        ) from None


def _take(ctx: BackupContext, earlier: Reference | None, erased_since: bool) -> Reference:
    with postgres.session(ctx.database_url, application="ops-platform reference") as source:
        # Before the snapshot: a transaction that ends between the two must count as running.
        marker = one_row(source, _WRITERS, {"margin": MARGIN, "prepared": PREPARED})["marker"]
        source.commit()
        _begin(source)
        here = one_row(source, _SITUATION)
        if earlier is not None and earlier.lineage != here["lineage"]:
            # It is of a branch of history that a restore has left.
            earlier = None
        if earlier is not None:
            # What was closed once stays so, whoever has been writing since.
            marker = max(marker, earlier.marker)
        marker = min(marker, here["now"])
        row_fingerprints.fix_session(source)
        statistics, counted = row_fingerprints.statistics_epoch(source), row_fingerprints.live(source)
        roles = schema_comparison.role_hashes(source)
        look = _Look(objects=schema_comparison.cluster_objects(source))
        look.at(source, "")
        others = source.execute(_OTHERS).fetchall()
        closed = _closed(source, ctx, marker, None if erased_since else earlier)
    entered = [one["name"] for one in others if one["open"] and _enter(ctx, one["name"], look)]
    return Reference(
        stanza=ctx.stanza.name,
        database=here["database"],
        taken_at=here["now"],
        marker=marker,
        lineage=here["lineage"],
        roles=roles,
        extensions=look.extensions,
        statistics=statistics,
        live=counted.tables,
        unread=counted.unread,
        closed=closed,
        behind=tuple(look.behind),
        invalid=tuple(look.invalid),
        unvalidated=tuple(look.unvalidated),
        others=tuple(entered),
        not_entered=tuple(one["name"] for one in others if one["name"] not in entered),
        objects=look.objects,
    )


def _enter(ctx: BackupContext, database: str, look: _Look) -> bool:
    """Look at another database of the cluster; False when we are not let in."""
    try:
        with postgres.session(
            make_conninfo(ctx.database_url, dbname=database), application="ops-platform reference"
        ) as other:
            _begin(other)
            row_fingerprints.fix_session(other)
            look.at(other, f"{database}: ")
    except Unavailable:
        return False
    return True


def _begin(source: Connection) -> None:
    source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    # A migration waits for us; we do not wait for it, with others queueing behind us.
    source.execute("SET LOCAL lock_timeout = '10s'")


def _closed(
    source: Connection, ctx: BackupContext, marker: datetime, earlier: Reference | None
) -> dict[str, Closed]:
    found = {}
    for table, column in ctx.stanza.append_only.items():
        before = None if earlier is None else earlier.closed.get(table)
        if (
            earlier is not None
            and before is not None
            and before.rows > EXACT_ROWS
            and before.column == column
            and before.columns == row_fingerprints.columns(source, table)
        ):
            found[table] = before + row_fingerprints.closed(source, table, column, marker, earlier.marker)
        else:
            found[table] = row_fingerprints.closed(source, table, column, marker)
    return found
