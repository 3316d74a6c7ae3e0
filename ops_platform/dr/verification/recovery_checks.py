"""Checks of a restored server's recovery: did it end where it was to end, and what was lost.

What the cluster holds is checked in ``schema_comparison``, ``data_checks`` and ``page_checks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from ops_platform.backup.wal import History
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import Check, Verification, failed, unknown, verdict
from ops_platform.dr.plan import STALE, Plan, RecoveryTarget
from ops_platform.dr.restore import RestoredServer
from ops_platform.errors import OpsError


@dataclass(frozen=True)
class Source:
    """The cluster that the backup was taken of.

    ``database``: the one with its heartbeats. ``newest_beat``: the newest heartbeat it had written at
    the disaster; None when there was none. ``system_id``: as the live cluster says; None when it is
    gone, as in an emergency.
    """

    database: str
    newest_beat: datetime | None
    system_id: int | None = None


@dataclass(frozen=True)
class Expected:
    """The heartbeat that recovery must bring back. ``certain``: it was certainly written and archived.

    Without the ops database only its time can be computed, from the interval of the heartbeats.
    """

    at: datetime
    certain: bool = True


@dataclass(frozen=True)
class RecoveredHeartbeats:
    """The heartbeats in a restored database.

    ``newest``: None when there is none. ``beyond_target``: how many there are that must be absent.
    """

    newest: datetime | None
    beyond_target: int


def checks(server: RestoredServer, source: Source, plan: Plan, expected: Expected | None) -> Sequence[Check]:
    """Return the checks, in order. ``expected``: the newest heartbeat that recovery must bring back."""
    return (
        ("recovered_and_promoted", lambda: recovered(server)),
        ("archive_mode_off", lambda: archive_mode_off(server)),
        ("system_identifier", lambda: system_identifier(server, source, plan)),
        ("timeline", lambda: timeline(server, plan)),
        ("recovery_target", lambda: recovery_target(server, source, plan, expected)),
    )


def recovered(server: RestoredServer) -> Verification:
    """Check that recovery has ended, and a transaction that writes can commit."""
    name = "recovered_and_promoted"
    with server.connect("postgres") as connection:
        if _value(connection, "SELECT pg_is_in_recovery()"):
            return failed(name, "the server is still in recovery")
        # Assigns a transaction id: its commit is a write that needs no object.
        _value(connection, "SELECT pg_current_xact_id()::text")
    replayed = server.recovery().replayed_bytes
    return verdict(
        name,
        True,
        f"promoted after replaying {replayed / 1e6:.1f} MB of WAL, takes writes",
        replayed_bytes=replayed,
    )


def archive_mode_off(server: RestoredServer) -> Verification:
    """Check that the server itself says it archives nothing.

    That the setting is on its command line would prove nothing.
    """
    with server.connect("postgres") as connection:
        mode = str(_value(connection, "SHOW archive_mode"))
    return verdict("archive_mode_off", mode == "off", f"the server says archive_mode = {mode}")


def system_identifier(server: RestoredServer, source: Source, plan: Plan) -> Verification:
    """Check that the cluster is the one that the stanza stands for, and that the live source is.

    The repository alone does not prove it: its sets may all be of another cluster than the source.
    """
    with server.connect("postgres") as connection:
        identifier = _value(connection, "SELECT system_identifier::text FROM pg_control_system()")
    wanted = {"the stanza stands for": plan.system_id, "the source is": source.system_id}
    differing = [
        f"{subject} {id_}"
        for subject, id_ in wanted.items()
        if id_ is not None and str(id_) != str(identifier)
    ]
    return verdict(
        "system_identifier", not differing, ", ".join([f"the cluster is {identifier}", *differing])
    )


def timeline(server: RestoredServer, plan: Plan) -> Verification:
    """Check that the new timeline branches off the one that the archive led along."""
    name, wanted = "timeline", plan.state.history.timeline
    branched = branch(server)
    number, parent = branched.timeline, branched.parent
    numbers = {"timeline": number, "parent": parent, "expected_parent": wanted}
    if plan.target.kind == "immediate":
        # Consistency is reached on the set's own timeline.
        wanted = plan.backup_set.timeline
    good = parent == wanted
    said = f"timeline {number} branches off {parent}" + ("" if good else f", expected was {wanted}")
    return verdict(name, good, said, **numbers)


@dataclass(frozen=True)
class Branch:
    """The branch of the server's timeline off its ``parent``.

    ``end``: LSN of the end of the last record replayed, as a number of bytes. ``reason``: PostgreSQL's
    note why recovery ended there.
    """

    timeline: int
    parent: int
    end: int
    reason: str


def branch(server: RestoredServer) -> Branch:
    """Read the history file of the server's timeline; ``parent`` 0: it branches off none."""
    with server.connect("postgres") as connection:
        name = str(_value(connection, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"))[:8]
        text = str(_value(connection, "SELECT pg_read_file(%s)", f"pg_wal/{name}.history"))
    number = int(name, 16)
    left = History.parse(number, text).left
    if not left:
        return Branch(number, 0, 0, "")
    reason = text.rstrip().splitlines()[-1].split("\t")[-1].strip()
    return Branch(number, *left[-1], reason)


def stopped_at(target: RecoveryTarget, branched: Branch) -> bool:
    """Tell whether recovery ended at ``target``, as PostgreSQL itself noted (getRecoveryStopReason)."""
    if target.lsn is not None:
        return " LSN " in f" {branched.reason}" and branched.end >= target.lsn
    if target.kind == "name":
        return branched.reason == f'at restore point "{target.value}"'
    # The note has the transaction id without its epoch.
    return branched.reason.endswith(f" transaction {int(target.value or 0) % 2**32}")


def recovery_target(
    server: RestoredServer, source: Source, plan: Plan, expected: Expected | None
) -> Verification:
    """Check that the heartbeat just before the target is present, and the one just after it absent."""
    name = "recovery_target"
    if plan.target.kind == "immediate":
        return verdict(name, True, "the end of the backup: consistent, no moment was asked for")
    if plan.target.kind == "latest":
        last_read = plan.geometry.number_at(branch(server).end - 1)
        if last_read < plan.last_segment.number:
            missing = plan.last_segment.number - last_read
            return failed(
                name, f"recovery ended {missing} segments before the end of the archive: one cannot be read"
            )
    if plan.target.kind in ("lsn", "name", "xid"):
        branched = branch(server)
        reached = stopped_at(plan.target, branched)
        return verdict(name, reached, f"recovery of {plan.target} ended {branched.reason}")
    if expected is None:
        return unknown(name, "no heartbeat is known before the target: is the agent running?")
    after = plan.pair.after.at if plan.pair is not None else plan.target.moment
    recovered_beats = recovered_heartbeats(server, source, after)
    if recovered_beats.newest is None:
        return failed(name, "no heartbeat was recovered")
    # Of those before the target the newest must be present; at the archive's end, newer ones may be too.
    if recovered_beats.newest < expected.at:
        newest = f"the newest recovered is of {recovered_beats.newest:%Y-%m-%d %H:%M:%S.%f} UTC"
        if not expected.certain:
            return unknown(
                name, f"{newest}, older than {expected.at:%H:%M:%S}: had the agent stopped by then?"
            )
        return failed(
            name,
            f"the heartbeat of {expected.at:%H:%M:%S.%f} UTC was committed before the target and is missing; "
            f"{newest}",
        )
    if after is not None and recovered_beats.beyond_target:
        return failed(
            name,
            f"heartbeats from {after:%H:%M:%S.%f} UTC on were committed after the target and are present: "
            "recovery went too far",
        )
    said = f"the newest heartbeat recovered is of {recovered_beats.newest:%Y-%m-%d %H:%M:%S.%f} UTC"
    return verdict(name, True, said + ("; the next one is absent" if after is not None else ""))


def recovered_heartbeats(
    server: RestoredServer, source: Source, after: datetime | None
) -> RecoveredHeartbeats:
    """Read the newest heartbeat, and count those from ``after`` on. Raises Unavailable or psycopg.Error."""
    with server.connect(source.database) as connection:
        row = one_row(
            connection,
            """
            SELECT max(beat_at) AS newest, count(*) FILTER (WHERE beat_at >= %s) AS later
            FROM ops_platform.heartbeats
            """,
            (after,),
        )
    return RecoveredHeartbeats(row["newest"], int(row["later"]))


def newest_beat(server: RestoredServer, source: Source) -> datetime | None:
    """Return the newest heartbeat recovered.

    None: there is none, or it cannot be read, which the check ``recovery_target`` reports.
    """
    try:
        return recovered_heartbeats(server, source, None).newest
    except (OpsError, psycopg.Error):
        return None


def loss(plan: Plan, t0: datetime, newest: datetime | None, source: Source) -> timedelta | None:
    """Measure the loss: the time from the newest heartbeat recovered to the target, or to ``t0``.

    None when it cannot be measured: no heartbeat, the source had stopped writing them, or its clock
    is ahead of ours: a heartbeat from the future would make any loss look like none.
    """
    if newest is None or plan.target.kind == "immediate" or newest - t0 > STALE:
        return None
    if plan.target.moment is not None:
        gap = plan.target.moment - newest
        return gap if gap <= STALE else None
    if source.newest_beat is None or t0 - source.newest_beat > STALE:
        return None
    return max(timedelta(0), t0 - newest)


def rpo(measured: timedelta | None, target_ms: int, source: Source, immediate: bool) -> Verification:
    """Check the measured loss against the target.

    ``measured`` None: unknown. ``immediate``: the end of the backup was restored, which loses nothing.
    """
    name = "rpo_within_target"
    if immediate:
        return verdict(name, True, "not applicable: the end of the backup was restored, not a moment")
    if measured is None:
        since = (
            "there was none"
            if source.newest_beat is None
            else f"the last was {source.newest_beat:%H:%M:%S} UTC"
        )
        return unknown(
            name,
            f"RPO could not be measured without a running heartbeat whose clock is right ({since}): "
            "start the agent, or correct the source's clock",
        )
    milliseconds = int(measured.total_seconds() * 1000)
    return verdict(
        name,
        milliseconds <= target_ms,
        f"{measured.total_seconds():.1f} s lost, promised at most {target_ms / 1000:.0f} s",
        rpo_ms=milliseconds,
        target_ms=target_ms,
    )


def rto(measured: float | None, target_ms: int) -> Verification:
    """Check the seconds until the first transaction; ``measured`` None: the cluster never took traffic."""
    name = "rto_within_target"
    if measured is None:
        return unknown(name, "the restored cluster never came to take traffic")
    milliseconds = int(measured * 1000)
    return verdict(
        name,
        milliseconds <= target_ms,
        f"{measured:.1f} s until the first transaction, promised at most {target_ms / 1000:.0f} s",
        rto_ms=milliseconds,
        target_ms=target_ms,
    )


def _value(connection: Connection, query: str, *parameters: object) -> object:
    return next(iter(one_row(connection, query, parameters).values()))
