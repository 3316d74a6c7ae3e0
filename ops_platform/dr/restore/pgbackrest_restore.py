"""The copy phase of a restore: pgBackRest fills an empty data directory. And the archive as it stood.

What runs in the directory afterwards is in ``server``.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ops_platform.backup.repository import BackupSet
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.wal import Geometry, Segment
from ops_platform.dr.plan import RecoveryTarget
from ops_platform.dr.restore.workspace import Workspace

_GATE = """\
#!/bin/sh
# The archive as it stood at the disaster: a live source goes on archiving, and what it archives
# later did not exist then. Names of one length sort as the segments do.
case "$1" in
  *[!0-9A-F]*) ;;
  *) last={last}; if [ "${{1#????????}}" \\> "$last" ]; then exit 1; fi ;;
esac
exec {command} archive-get "$1" "$2"
"""


@dataclass(frozen=True)
class Copy:
    """What was copied: the cluster's size in bytes, and the seconds it took.

    ``rate``: bytes per second while the bulk was copied; what comes before and after it takes as long
    in a large cluster as in a small one.
    """

    size_bytes: int
    seconds: float
    rate: float


BULK = 0.5
"""Of the bytes: what a rate must have held over, at least."""
SHORTEST = 0.25
"""Seconds: the log comes in bursts, and a rate over less is that of the log."""


@dataclass
class Pace:
    """Listens to a copy's progress (fractions, 0 to 1, and when) and finds the rate of its bulk.

    A file is heard of when it is whole, so that the largest one makes a pause and a leap: of all
    stretches from the first file over BULK and more, the fastest is the one between pauses. The
    many small files of every cluster, which are slow, come last.
    """

    size_bytes: int
    _first: tuple[float, datetime] | None = None
    _best: float | None = None

    def hear(self, fraction: float, now: datetime) -> None:
        if self._first is None:
            self._first = (fraction, now)
            return
        from_, began = self._first
        if fraction - from_ >= BULK:
            seconds = max((now - began).total_seconds(), SHORTEST)
            self._best = max(self._best or 0.0, (fraction - from_) * self.size_bytes / seconds)

    def rate(self, seconds: float) -> float:
        """Bytes per second; of the whole when there was too little to tell the bulk apart."""
        return self._best or self.size_bytes / max(seconds, 0.001)


def restore(
    reader: BackupContext,
    one: BackupSet,
    target: RecoveryTarget,
    timeline: str | None,
    log: Callable[[str], None],
    progress: Callable[[float], None],
    *,
    archive_mode: str | None = "off",
    tablespaces: Path | None = None,
) -> Copy:
    """Copy a set into the data directory of ``reader``, which is empty. Raises PgBackRestError.

    ``tablespaces``: where those of the cluster go; None: where they were, which must be empty too.

    No ``--delta``, ``--force`` or ``--link-all``: what is there already is never overwritten.
    """
    began = time.monotonic()
    options = [f"--set={one.label}", *target.options(timeline)]
    if archive_mode is not None:
        options.append(f"--archive-mode={archive_mode}")
    if tablespaces is not None:
        options.append(f"--tablespace-map-all={tablespaces}")
    pace = Pace(one.size_bytes)

    def heard(fraction: float, logged_at: datetime | None) -> None:
        if logged_at is not None:
            pace.hear(fraction, logged_at)
        progress(fraction)

    reader.pgbackrest.restore(options, log, heard)
    seconds = time.monotonic() - began
    return Copy(one.size_bytes, seconds, pace.rate(seconds))


def frozen_archive(
    reader: BackupContext, workspace: Workspace, geometry: Geometry, last: Segment
) -> Mapping[str, str]:
    """The server setting under which nothing behind ``last`` can be got from the archive.

    Secrets stay in pgBackRest's configuration file, which the command names.
    """
    command = shlex.join(
        [
            reader.pgbackrest.binary,
            f"--config={reader.pgbackrest.config_file}",
            f"--stanza={reader.pgbackrest.stanza}",
        ]
    )
    name = geometry.name(last)[8:]
    gate = workspace.write("archive-get", _GATE.format(last=name, command=command), mode=0o700)
    return {"restore_command": f'{shlex.quote(str(gate)).replace("%", "%%")} %f "%p"'}
