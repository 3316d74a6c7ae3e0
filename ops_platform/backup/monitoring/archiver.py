"""Archiver of a stanza's server: its own word, held against what lies in the repository.

``pg_stat_archiver`` counts what the archive command called a success. A command that stores nothing, a queue
that drops segments, a server that archives elsewhere: each is a success there, and a loss in the repository.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

import psycopg

from ops_platform.backup.monitoring import contest
from ops_platform.backup.repository import Archive
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.wal import Written
from ops_platform.clients import postgres
from ops_platform.clients.pgbackrest import layout
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import OpsError

Fault = Literal["off", "discards", "drops", "elsewhere", "foreign", "contested"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
"""Ways in which archiving is at fault: the server does not archive; its command stores nothing; pgBackRest
may drop segments; what the server archived is not in the repository; another cluster archives into the
stanza; a timeline that was left still grows."""

QUEUE_LIMIT = "archive-push-queue-max"
DEFAULT_CONFIG = "/etc/pgbackrest/pgbackrest.conf"
_NOTHING = re.compile(r"(?:(?:(?:/usr)?/bin/)?(?:true|echo)|:)(?:\s[^;&|>]*)?|exit\s+0|cd\s+\.")
_SEGMENT = re.compile(r"([0-9A-F]{24})(?:\.[0-9A-F]{8}\.backup)?")

_READ = """
    SELECT current_setting('archive_mode') AS mode,
           current_setting('archive_command') AS command,
           coalesce(current_setting('archive_library', true), '') AS library,
           failed_count,
           coalesce(last_failed_time > last_archived_time, last_failed_time IS NOT NULL) AS failing,
           last_archived_wal,
           CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END AS writes
    FROM pg_stat_archiver
"""


@dataclass(frozen=True)
class Archiver:
    """Answers of the stanza's server about its archiving, at one moment.

    ``last_archived_wal`` is the newest file that the archive command called stored, None since the statistics
    were reset; ``writes`` the segment that the server writes now, None on a standby.
    """

    failed_count: int
    failing: bool
    """The newest attempt failed."""
    mode: str = "on"
    command: str = ""
    """Not for messages: people put secrets into it."""
    library: str = ""
    last_archived_wal: str | None = None
    writes: str | None = None


@dataclass(frozen=True)
class ArchiveEnd:
    """The newest part of the archive: all of it from the folder of log ``since`` on (8 digits and more)."""

    archive: Archive
    histories: frozenset[int]
    """Timelines whose history file is there."""
    since: str = ""

    @classmethod
    def whole(cls, archive: Archive) -> ArchiveEnd:
        """Take all of an archive that was listed as a whole."""
        return cls(archive, frozenset(archive.histories))

    def holds(self, file: str) -> bool | None:
        """Tell whether a file that the server named is there; None when this listing cannot tell.

        Segments, backup labels (by the segment before them) and timeline histories can be told.
        """
        timeline = layout.history_timeline(file)
        if timeline is not None:
            return timeline in self.histories
        match = _SEGMENT.fullmatch(file)
        if match is None or layout.log_of(layout.folder_of(match[1])) < self.since:
            return None
        return self.archive.holds(match[1])


def read(server: Connection) -> Archiver:
    """Ask the stanza's own server. Raises psycopg.Error."""
    return Archiver(**one_row(server, _READ))


def written(archiver: Archiver | None, at: datetime) -> Written | None:
    """Return the timeline that the server named ``at`` that time; None when it did not."""
    if archiver is None or archiver.writes is None:
        return None
    return Written(layout.timeline_of(archiver.writes), at)


def ask(ctx: BackupContext) -> Archiver | None:
    """Ask the stanza's server about its archiving; None when it does not answer."""
    try:
        with postgres.session(ctx.database_url, application="ops-platform checks") as connection:
            return read(connection)
    except (OpsError, psycopg.Error):
        return None


def configured_faults(archiver: Archiver) -> dict[Fault, str]:
    """Find what is wrong with the server's settings, each with what to do; empty when nothing is."""
    faults: dict[Fault, str] = {}
    command = archiver.command.strip()
    if archiver.mode not in ("on", "always"):
        faults["off"] = f"archive_mode is {archiver.mode}: set it to on and restart the server"
    elif not command and not archiver.library:
        faults["off"] = "archive_command is empty: set it, the server keeps its WAL until then"
    elif not archiver.library and _NOTHING.fullmatch(command):
        faults["discards"] = (
            "archive_command reports success and stores nothing: set it to pgBackRest's archive-push, "
            "then take a full backup"
        )
    if any(QUEUE_LIMIT in text for text in _settings_of(command)):
        faults["drops"] = (
            f"{QUEUE_LIMIT} is set: pgBackRest then drops WAL and reports success; remove it from the "
            "command and the configuration"
        )
    return faults


def unstored(archiver: Archiver, end: ArchiveEnd) -> str | None:
    """Say which file the server calls archived and a later listing of the repository does not hold.

    None when it holds it, or when it cannot be told.
    """
    if archiver.last_archived_wal is None or end.holds(archiver.last_archived_wal) is not False:
        return None
    return (
        f"the server calls {archiver.last_archived_wal} archived, and the repository does not hold it: "
        "see where archive_command stores; then take a full backup"
    )


def foreign(end: ArchiveEnd, archiver: Archiver) -> str | None:
    """Say what the archive holds that the server, asked after the listing, has not written yet; or None."""
    if archiver.writes is None:
        return None
    highest, timeline = end.archive.lineage.highest, layout.timeline_of(archiver.writes)
    advice = "another cluster archives into this stanza: stop it, and give it a stanza of its own"
    if highest > timeline:
        return f"the archive holds timeline {highest} and the server writes timeline {timeline}: {advice}"
    newest = end.archive.newest_on(timeline)
    if newest is None:
        return None
    name = end.archive.geometry.name(newest)
    if name <= archiver.writes:
        return None
    return f"the archive holds {name} and the server writes {archiver.writes}: {advice}"


def contested(end: ArchiveEnd, now: datetime) -> str | None:
    """Say which timeline still grows beside the living one, or None."""
    found = contest.find(end.archive, now - contest.STILL)
    return None if found is None else f"{found.summary}; stop the one that is not the cluster"


def all_faults(
    before: Archiver | None, end: ArchiveEnd | None, after: Archiver, now: datetime
) -> Mapping[Fault, str]:
    """Find all faults: ``before`` was read before the archive was listed, ``after`` behind it.

    What None leaves unknown is no fault here; see ``proved``.
    """
    faults = configured_faults(after)
    if end is None:
        return faults
    if before is not None and (text := unstored(before, end)) is not None:
        faults["elsewhere"] = text
    if (text := foreign(end, after)) is not None:
        faults["foreign"] = text
    if (text := contested(end, now)) is not None:
        faults["contested"] = text
    return faults


def proved(before: Archiver | None, end: ArchiveEnd | None) -> bool:
    """Tell whether the repository holds the file that the server, asked before, had archived last."""
    if before is None or end is None or before.last_archived_wal is None:
        return False
    return end.holds(before.last_archived_wal) is True


def _settings_of(command: str) -> Iterator[str]:
    """Yield the command, and the configuration that it names where this host has it."""
    yield command
    try:
        words = shlex.split(command)
    except ValueError:
        return
    if not any("pgbackrest" in word for word in words):
        return
    named = [word.partition("=")[2] for word in words if word.startswith("--config=")]
    try:
        text = Path(named[-1] if named else DEFAULT_CONFIG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    yield "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
