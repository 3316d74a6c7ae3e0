"""Capture of a reference from a stanza's live source: all databases of its cluster that let us in.

The reference itself, and how it is stored, is in ``reference_store``.
"""

from __future__ import annotations

import contextlib
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
    ClosedRows,
    change_mark,
    inherent_defects,
    row_fingerprints,
    schema_comparison,
)
from ops_platform.dr.reference.reference_store import Reference
from ops_platform.errors import Unavailable

CLUSTER = ""
"""The key of the cluster's own mark among those of its databases."""
MARGIN = timedelta(seconds=120)
"""Rows younger than this are not closed, even when no writer is seen."""
PREPARED = timedelta(days=1)
"""Assumed age of a prepared transaction when it was prepared: PostgreSQL does not say when it began."""

# The start of the oldest transaction that may still write rows stamped with its start.
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
class _Contents:
    """Objects and defects of all databases read so far, and their marks."""

    objects: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, str] = field(default_factory=dict)
    sequences_behind: list[str] = field(default_factory=list)
    invalid_indexes: list[str] = field(default_factory=list)
    unvalidated_constraints: list[str] = field(default_factory=list)
    change_marks: dict[str, str] = field(default_factory=dict)

    def read(self, connection: Connection, database: str, prefix: str) -> None:
        """Add those of one database, with ``prefix`` before their names."""
        self.change_marks[database] = change_mark.of_database(connection)

        def prefixed(objects: Mapping[str, str]) -> dict[str, str]:
            return {prefix + name: hash_ for name, hash_ in objects.items()}

        behind = inherent_defects.sequences_behind(connection)
        invalid = inherent_defects.invalid_indexes(connection)
        unvalidated = inherent_defects.unvalidated_constraints(connection)
        self.objects |= prefixed(schema_comparison.objects(connection))
        self.extensions |= prefixed(schema_comparison.extension_versions(connection))
        self.sequences_behind += [prefix + name for name in behind.names]
        self.invalid_indexes += [prefix + name for name in invalid.names]
        self.unvalidated_constraints += [prefix + name for name in unvalidated.names]


def take(ctx: BackupContext, earlier: Reference | None, erased_since: bool) -> Reference:
    """Read the live source.

    For large append-only tables only the rows closed since ``earlier`` are read, and added to its
    counts and hashes; small ones are read anew, and all of them when somebody was erased since. Raises
    Unavailable when the source is away or a table is locked, CheckFailed when ``append_only`` names a
    table or column that does not exist.
    """
    try:
        return _take(ctx, earlier, erased_since)
    except psycopg.Error as error:
        raise Unavailable(
            f"no reference of stanza {ctx.stanza.cluster} could be taken: {describe(error)}; "
            "if a table was being changed, run the job dr_reference again"
        ) from None


def _take(ctx: BackupContext, earlier: Reference | None, erased_since: bool) -> Reference:
    with postgres.session(ctx.database_url, application="ops-platform reference") as source:
        # Before the snapshot: a transaction that ends between the two must count as running.
        marker = one_row(source, _WRITERS, {"margin": MARGIN, "prepared": PREPARED})["marker"]
        source.commit()
        _begin(source)
        situation = one_row(source, _SITUATION)
        if earlier is not None and earlier.lineage != situation["lineage"]:
            # It is of a branch of history that a restore has left.
            earlier = None
        if earlier is not None:
            # Rows that were closed once stay closed, whoever has been writing since.
            marker = max(marker, earlier.marker)
        marker = min(marker, situation["now"])
        row_fingerprints.fix_session(source)
        statistics, counted = row_fingerprints.statistics_epoch(source), row_fingerprints.live_tables(source)
        roles = schema_comparison.role_hashes(source)
        contents = _Contents(objects=schema_comparison.cluster_objects(source))
        contents.change_marks[CLUSTER] = change_mark.of_cluster(source)
        contents.read(source, situation["database"], "")
        others = source.execute(_OTHERS).fetchall()
        closed = _closed(source, ctx, marker, None if erased_since else earlier)
    entered = [other["name"] for other in others if other["open"] and _enter(ctx, other["name"], contents)]
    return Reference(
        stanza=ctx.stanza.cluster,
        database=situation["database"],
        taken_at=situation["now"],
        marker=marker,
        lineage=situation["lineage"],
        roles=roles,
        extensions=contents.extensions,
        statistics=statistics,
        live=counted.tables,
        unread=counted.unread,
        closed=closed,
        behind=tuple(contents.sequences_behind),
        invalid=tuple(contents.invalid_indexes),
        unvalidated=tuple(contents.unvalidated_constraints),
        others=tuple(entered),
        not_entered=tuple(other["name"] for other in others if other["name"] not in entered),
        objects=contents.objects,
        change_marks=contents.change_marks,
    )


def change_marks(ctx: BackupContext) -> dict[str, str]:
    """Read the marks of the live source, as ``take`` would now. Raises Unavailable.

    A database that refuses the connection is left out, as there.
    """
    with postgres.session(ctx.database_url, application="ops-platform reference", autocommit=True) as source:
        own = one_row(source, "SELECT current_database() AS name")["name"]
        marks = {CLUSTER: change_mark.of_cluster(source), own: change_mark.of_database(source)}
        others = [row["name"] for row in source.execute(_OTHERS).fetchall() if row["open"]]
    for database in others:
        url = make_conninfo(ctx.database_url, dbname=database)
        with (
            contextlib.suppress(Unavailable),
            postgres.session(url, application="ops-platform reference", autocommit=True) as other,
        ):
            marks[database] = change_mark.of_database(other)
    return marks


def _enter(ctx: BackupContext, database: str, contents: _Contents) -> bool:
    """Read another database of the cluster; False when it refuses the connection."""
    try:
        with postgres.session(
            make_conninfo(ctx.database_url, dbname=database), application="ops-platform reference"
        ) as other:
            _begin(other)
            row_fingerprints.fix_session(other)
            contents.read(other, database, f"{database}: ")
    except Unavailable:
        return False
    return True


def _begin(source: Connection) -> None:
    source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    # A migration may wait for us; we must not wait for it, with others queueing behind us.
    source.execute("SET LOCAL lock_timeout = '10s'")


def _closed(
    source: Connection, ctx: BackupContext, marker: datetime, earlier: Reference | None
) -> dict[str, ClosedRows]:
    closed = {}
    for table, column in ctx.stanza.append_only.items():
        before = None if earlier is None else earlier.closed.get(table)
        if (
            earlier is not None
            and before is not None
            and before.rows > EXACT_ROWS
            and before.column == column
            and before.columns == row_fingerprints.table_columns(source, table)
        ):
            closed[table] = before + row_fingerprints.closed_rows(
                source, table, column, marker, earlier.marker
            )
        else:
            closed[table] = row_fingerprints.closed_rows(source, table, column, marker)
    return closed
