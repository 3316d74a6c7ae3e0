"""The copy phase of a restore, and the archive frozen as it stood at the disaster.

pgBackRest fills an empty data directory; the server that then runs there is in ``restored_server``.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_platform.backup.repository import BackupSet
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.wal import Geometry, Segment
from ops_platform.dr.plan import RecoveryTarget
from ops_platform.dr.restore.tablespace_map import Placement
from ops_platform.dr.restore.workspace import Workspace

_GET = """\
#!/bin/sh
{freeze}# The recovery watches how long one file takes.
echo "$1" > {marker}
{command} --archive-timeout={patience} archive-get "$1" "$2"
code=$?
# Found, not found, or told to stop.
if [ $code -gt 1 ] && [ $code -le 125 ]; then
  # Before pgBackRest 2.59 two of its background processes may race for one lock, and the one that would
  # have fetched this segment dies. The error after the timeout would end the recovery as if the archive
  # ended here.
  {command} --no-archive-async archive-get "$1" "$2"
  code=$?
fi
: > {marker}
exit $code
"""
_FREEZE = """\
# The archive as it stood at the disaster: a live source goes on archiving, and what it archives
# later did not exist then. Names of one length sort as the segments do.
case "$1" in
  *[!0-9A-F]*) ;;
  *) last={last}; if [ "${{1#????????}}" \\> "$last" ]; then exit 1; fi ;;
esac
"""
PATIENCE_SECONDS = 3
"""Wait for a segment that the background fetches; then the foreground does, watched by ``fetch_watch``."""


@dataclass(frozen=True)
class Copy:
    """The size of the copied cluster in bytes, and the seconds the copy took.

    ``rate``: bytes per second while the bulk was copied; the parts before and after it take as long in
    a large cluster as in a small one.
    """

    size_bytes: int
    seconds: float
    rate: float


BULK_SHARE = 0.5
"""The smallest share of the bytes over which a rate is measured."""
MINIMUM_SECONDS = 0.25
"""The shortest time over which a rate is measured: the log comes in bursts."""


@dataclass
class BulkRateMeter:
    """Finds the rate of a copy's bulk from its progress.

    A file is reported when it is complete, so that the largest one makes a pause and a leap: of all
    stretches from the first file over BULK_SHARE and more, the fastest is the one between pauses. The
    many small files of every cluster, which are slow, come last.
    """

    size_bytes: int
    _first: tuple[float, datetime] | None = None
    _best: float | None = None

    def observe(self, fraction: float, now: datetime) -> None:
        """Take in that ``fraction`` of the bytes (0 to 1) was copied at ``now``."""
        if self._first is None:
            self._first = (fraction, now)
            return
        from_, began = self._first
        if fraction - from_ >= BULK_SHARE:
            seconds = max((now - began).total_seconds(), MINIMUM_SECONDS)
            self._best = max(self._best or 0.0, (fraction - from_) * self.size_bytes / seconds)

    def rate(self, seconds: float) -> float:
        """Return the rate of the bulk in bytes per second.

        Where too little was observed: that of the whole copy, which took ``seconds``.
        """
        return self._best or self.size_bytes / max(seconds, 0.001)


def restore(
    reader: BackupContext,
    backup_set: BackupSet,
    target: RecoveryTarget,
    timeline: str | None,
    log: Callable[[str], None],
    progress: Callable[[float], None],
    *,
    archive_mode: str | None = "off",
    tablespaces: Sequence[Placement] = (),
) -> Copy:
    """Copy a set into the data directory of ``reader``, which is empty. Raises PgBackRestError.

    ``tablespaces``: where those of the cluster go. Others go where they were, which must be empty too.

    Without ``--delta``, ``--force`` or ``--link-all``: existing files are never overwritten.
    """
    began = time.monotonic()
    options = [f"--set={backup_set.label}", *target.options(timeline)]
    if archive_mode is not None:
        options.append(f"--archive-mode={archive_mode}")
    options += [placement.option for placement in tablespaces]
    meter = BulkRateMeter(backup_set.size_bytes)

    def on_progress(fraction: float, logged_at: datetime | None) -> None:
        if logged_at is not None:
            meter.observe(fraction, logged_at)
        progress(fraction)

    reader.pgbackrest.restore(options, log, on_progress)
    seconds = time.monotonic() - began
    return Copy(backup_set.size_bytes, seconds, meter.rate(seconds))


def archive_get(
    reader: BackupContext, workspace: Workspace, geometry: Geometry, last: Segment | None
) -> Mapping[str, str]:
    """Return the server setting that fetches WAL; behind ``last`` the archive yields nothing.

    None: it yields all it has. ``workspace.fetching`` names the file that is being fetched. Secrets stay in
    pgBackRest's configuration file, which the command names.
    """
    command = shlex.join([reader.pgbackrest.binary, *reader.pgbackrest.options])
    freeze = "" if last is None else _FREEZE.format(last=geometry.name(last)[8:])
    marker = shlex.quote(str(workspace.write(workspace.fetching.name, "")))
    text = _GET.format(freeze=freeze, command=command, patience=PATIENCE_SECONDS, marker=marker)
    script = workspace.write("archive-get", text, mode=0o700)
    return {"restore_command": f'{shlex.quote(str(script)).replace("%", "%%")} %f "%p"'}
