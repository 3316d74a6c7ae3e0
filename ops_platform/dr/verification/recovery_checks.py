"""Did recovery end where it was to end? Questions to a restored server about its recovery alone.

What the cluster holds is asked in ``catalogue``, ``content`` and ``physical``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from ops_platform.backup.wal import History
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.dr.inspection import Rung, Verification, failed, unknown, verdict
from ops_platform.dr.plan import STALE, Plan, RecoveryTarget
from ops_platform.dr.restore import RestoredServer
from ops_platform.errors import OpsError


@dataclass(frozen=True)
class Source:
    """What is known of the cluster that the backup was taken of."""

    database: str
    """Where its heartbeats are."""
    newest_beat: datetime | None
    """The newest heartbeat it had written at the disaster; None when there was none."""
    system_id: int | None = None
    """What the live cluster says it is; None when it is gone, as in an emergency."""


@dataclass(frozen=True)
class Expected:
    """The heartbeat that recovery must bring. ``certain``: it is known to have been written and archived.

    Without the ops database only its time can be reckoned, from the pace of the heartbeat.
    """

    at: datetime
    certain: bool = True


@dataclass(frozen=True)
class Witness:
    """The heartbeats around the recovery target that a restored database holds."""

    newest: datetime | None
    at_or_after_next: int
    """Rows from the heartbeat on that must be absent."""


def rungs(server: RestoredServer, source: Source, plan: Plan, expected: Expected | None) -> Sequence[Rung]:
    """The questions, in order. ``expected``: the newest heartbeat that recovery must bring."""
    return (
        ("recovered_and_promoted", lambda: recovered(server)),
        ("archive_mode_off", lambda: archive_mode_off(server)),
        ("system_identifier", lambda: system_identifier(server, source, plan)),
        ("timeline", lambda: timeline(server, plan)),
        ("recovery_target", lambda: recovery_target(server, source, plan, expected)),
    )


def recovered(server: RestoredServer) -> Verification:
    """Recovery has ended, and a transaction that writes can commit."""
    name = "recovered_and_promoted"
    with server.connect("postgres") as connection:
        if _one(connection, "SELECT pg_is_in_recovery()"):
            return failed(name, "the server is still in recovery")
        # Assigns a transaction id: its commit is a write that needs no object.
        _one(connection, "SELECT pg_current_xact_id()::text")
    replayed = server.recovery().replayed_bytes
    return verdict(
        name,
        True,
        f"promoted after replaying {replayed / 1e6:.1f} MB of WAL, takes writes",
        replayed_bytes=replayed,
    )


def archive_mode_off(server: RestoredServer) -> Verification:
    """The server itself says that it archives nothing: a setting on a command line proves nothing."""
    with server.connect("postgres") as connection:
        mode = str(_one(connection, "SHOW archive_mode"))
    return verdict("archive_mode_off", mode == "off", f"the server says archive_mode = {mode}")


def system_identifier(server: RestoredServer, source: Source, plan: Plan) -> Verification:
    """The repository's word is not enough: its sets may all be of a cluster that the source is not."""
    with server.connect("postgres") as connection:
        found = _one(connection, "SELECT system_identifier::text FROM pg_control_system()")
    wanted = {"the stanza stands for": plan.system_id, "the source is": source.system_id}
    other = [f"{what} {id_}" for what, id_ in wanted.items() if id_ is not None and str(id_) != str(found)]
    return verdict("system_identifier", not other, ", ".join([f"the cluster is {found}", *other]))


def timeline(server: RestoredServer, plan: Plan) -> Verification:
    """The new timeline branches off the one that the archive led along."""
    name, wanted = "timeline", plan.state.history.timeline
    left = branch(server)
    here, parent = left.timeline, left.parent
    numbers = {"timeline": here, "parent": parent, "expected_parent": wanted}
    if plan.target.kind == "immediate":
        # Consistency is reached on the set's own timeline.
        wanted = plan.backup_set.timeline
    good = parent == wanted
    said = f"timeline {here} branches off {parent}" + ("" if good else f", expected was {wanted}")
    return verdict(name, good, said, **numbers)


@dataclass(frozen=True)
class Branch:
    """The server's timeline, the one that it left, the end of the last record replayed, and why it ended."""

    timeline: int
    parent: int
    end: int
    reason: str


def branch(server: RestoredServer) -> Branch:
    with server.connect("postgres") as connection:
        here = str(_one(connection, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"))[:8]
        text = str(_one(connection, "SELECT pg_read_file(%s)", f"pg_wal/{here}.history"))
    number = int(here, 16)
    left = History.parse(number, text).left
    if not left:
        return Branch(number, 0, 0, "")
    reason = text.rstrip().splitlines()[-1].split("\t")[-1].strip()
    return Branch(number, *left[-1], reason)


def stopped_at(target: RecoveryTarget, left: Branch) -> bool:
    """Whether recovery ended where it was told to, as PostgreSQL itself noted (getRecoveryStopReason)."""
    if target.lsn is not None:
        return " LSN " in f" {left.reason}" and left.end >= target.lsn
    if target.kind == "name":
        return left.reason == f'at restore point "{target.value}"'
    # The epoch of a transaction id is not written down.
    return left.reason.endswith(f" transaction {int(target.value or 0) % 2**32}")


def recovery_target(
    server: RestoredServer, source: Source, plan: Plan, expected: Expected | None
) -> Verification:
    """A heartbeat just before the target is present, the one just after it absent."""
    name = "recovery_target"
    if plan.target.kind == "immediate":
        return verdict(name, True, "the end of the backup: consistent, no moment was asked for")
    if plan.target.kind == "latest":
        reached = plan.geometry.number_at(branch(server).end - 1)
        if reached < plan.last_segment.number:
            missing = plan.last_segment.number - reached
            return failed(
                name, f"recovery ended {missing} segments before the end of the archive: one cannot be read"
            )
    if plan.target.kind in ("lsn", "name", "xid"):
        left = branch(server)
        reached_it = stopped_at(plan.target, left)
        return verdict(name, reached_it, f"recovery of {plan.target} ended {left.reason}")
    if expected is None:
        return unknown(name, "no heartbeat is known before the target: is the agent running?")
    after = plan.pair.after.at if plan.pair is not None else plan.target.moment
    seen = witness(server, source, after)
    if seen.newest is None:
        return failed(name, "no heartbeat was recovered")
    # Of several before the target the newest must be there; to the end of the archive, later ones may be.
    if seen.newest < expected.at:
        newest = f"the newest recovered is of {seen.newest:%Y-%m-%d %H:%M:%S.%f} UTC"
        if not expected.certain:
            return unknown(
                name, f"{newest}, older than {expected.at:%H:%M:%S}: had the agent stopped by then?"
            )
        return failed(
            name,
            f"the heartbeat of {expected.at:%H:%M:%S.%f} UTC was committed before the target and is missing; "
            f"{newest}",
        )
    if after is not None and seen.at_or_after_next:
        return failed(
            name,
            f"heartbeats from {after:%H:%M:%S.%f} UTC on were committed after the target and are present: "
            "recovery went too far",
        )
    said = f"the newest heartbeat recovered is of {seen.newest:%Y-%m-%d %H:%M:%S.%f} UTC"
    return verdict(name, True, said + ("; the next one is absent" if after is not None else ""))


def witness(server: RestoredServer, source: Source, after: datetime | None) -> Witness:
    with server.connect(source.database) as connection:
        row = one_row(
            connection,
            """
            SELECT max(beat_at) AS newest, count(*) FILTER (WHERE beat_at >= %s) AS later
            FROM ops_platform.heartbeats
            """,
            (after,),
        )
    return Witness(row["newest"], int(row["later"]))


def newest_beat(server: RestoredServer, source: Source) -> datetime | None:
    """The newest heartbeat recovered; None: none, or it cannot be asked (which ``recovery_target`` says)."""
    try:
        return witness(server, source, None).newest
    except (OpsError, psycopg.Error):
        return None


def loss(plan: Plan, t0: datetime, newest: datetime | None, source: Source) -> timedelta | None:
    """What was lost (for a target in time: between it and the newest heartbeat recovered).

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
    """``measured`` in seconds; None when the cluster never took traffic."""
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


def _one(connection: Connection, query: str, *parameters: object) -> object:
    return next(iter(one_row(connection, query, parameters).values()))
