"""The live cluster that is backed up, as an exercise sees it: only read.

An exercise must not make it switch WAL: that would flatter RPO.
"""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

from ops_platform.backup.stanza import BackupContext
from ops_platform.clients import postgres
from ops_platform.dr.inspection import Verification, verdict
from ops_platform.errors import ConfigurationError


def database_name(ctx: BackupContext) -> str:
    """Return the name of the database with the stanza's heartbeats. Raises ConfigurationError."""
    name = conninfo_to_dict(ctx.database_url).get("dbname")
    if not name:
        raise ConfigurationError(
            f"the connection of stanza {ctx.stanza.name} names no database: add one to its URL"
        )
    return str(name)


def archive_failures(ctx: BackupContext) -> int:
    """Read how often the source's archiver has failed so far. Raises Unavailable."""
    with postgres.session(ctx.database_url, application="ops-platform exercise", autocommit=True) as source:
        row = postgres.one_row(source, "SELECT failed_count FROM pg_stat_archiver")
    return int(row["failed_count"])


def system_id(ctx: BackupContext) -> int:
    """Read the source's system identifier. Raises Unavailable."""
    with postgres.session(ctx.database_url, application="ops-platform exercise", autocommit=True) as source:
        row = postgres.one_row(source, "SELECT system_identifier FROM pg_control_system()")
    return int(row["system_identifier"])


def next_transaction(ctx: BackupContext, cluster: int, timeline: int) -> int | None:
    """Read the id that the source gives to its next transaction, as ``--xid`` counts: below 2^32.

    None: the server runs another ``cluster`` (a system identifier), is on another timeline, which has had
    transactions of its own, or is a standby. Raises Unavailable.
    """
    with postgres.session(ctx.database_url, application="ops-platform restore", autocommit=True) as source:
        row = postgres.one_row(
            source,
            """
            SELECT system_identifier, pg_is_in_recovery() AS in_recovery,
                   CASE WHEN NOT pg_is_in_recovery()
                        THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline,
                   pg_snapshot_xmax(pg_current_snapshot())::text::numeric % (2::numeric ^ 32) AS next
            FROM pg_control_system()
            """,
        )
    if row["in_recovery"] or int(row["system_identifier"]) != cluster or int(row["timeline"], 16) != timeline:
        return None
    return int(row["next"])


def undisturbed(ctx: BackupContext, before: int) -> Verification:
    """Check that the source's archiver has not failed since ``before`` was read. Raises Unavailable."""
    now = archive_failures(ctx)
    said = (
        "the source's archiver went on without a failure"
        if now == before
        else f"the source's archiver failed {now - before} times during the exercise: look at its log"
    )
    return verdict("primary_undisturbed", now == before, said, failures=now - before)
