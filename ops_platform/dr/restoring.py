"""The copy phase of a restore: pgBackRest fills an empty data directory. And the archive as it stood.

What runs in the directory afterwards is in ``server``.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ops_platform.backup.context import BackupContext
from ops_platform.backup.repository import BackupSet
from ops_platform.backup.wal import Geometry, Segment
from ops_platform.dr.target import RecoveryTarget
from ops_platform.dr.workspace import Workspace

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
    """What was copied: the cluster's size in bytes, and the seconds it took."""

    size_bytes: int
    seconds: float


def restore(
    reader: BackupContext,
    one: BackupSet,
    target: RecoveryTarget,
    timeline: int | None,
    log: Callable[[str], None],
    progress: Callable[[float], None],
    *,
    archive_mode: str | None = "off",
) -> Copy:
    """Copy a set into the data directory of ``reader``, which is empty. Raises PgBackRestError.

    No ``--delta``, ``--force`` or ``--link-all``: what is there already is never overwritten.
    """
    began = time.monotonic()
    options = [f"--set={one.label}", *target.options(timeline)]
    if archive_mode is not None:
        options.append(f"--archive-mode={archive_mode}")
    reader.pgbackrest.restore(options, log, progress)
    return Copy(one.size_bytes, time.monotonic() - began)


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
