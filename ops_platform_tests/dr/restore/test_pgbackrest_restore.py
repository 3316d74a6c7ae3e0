"""The command that fetches WAL: it never takes a race of pgBackRest for the end of the archive."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.backup.wal import Geometry, Segment
from ops_platform.clients.pgbackrest import PgBackRest
from ops_platform.dr.restore.pgbackrest_restore import archive_get
from ops_platform.dr.restore.workspace import Workspace

GEOMETRY = Geometry(16 << 20)
PGBACKREST = """\
#!/bin/sh
echo "$*" >> {log}
cat {marker} >> {fetched}
case "$*" in *--no-archive-async*) exit {foreground} ;; *) exit {background} ;; esac
"""


def fetch(
    tmp_path: Path, segment: str, *, background: int = 0, foreground: int = 0, last: Segment | None = None
) -> tuple[int, list[str]]:
    """What the server gets, and which of pgBackRest's two ways were tried."""
    log, binary = tmp_path / "log", tmp_path / "pg back rest"
    here = Workspace(tmp_path, tmp_path / "data", None)
    paths = {"log": log, "marker": here.fetching, "fetched": tmp_path / "fetched"}
    binary.write_text(PGBACKREST.format(background=background, foreground=foreground, **paths))
    binary.chmod(0o700)
    reader = cast(Any, SimpleNamespace(pgbackrest=PgBackRest(str(binary), tmp_path / "conf", "product")))
    setting = archive_get(reader, here, GEOMETRY, last)
    [script, *_] = shlex.split(setting["restore_command"])
    code = subprocess.run([script, segment, "pg_wal/RECOVERYXLOG"], check=False).returncode
    lines = log.read_text().splitlines() if log.exists() else []
    return code, ["foreground" if "--no-archive-async" in line else "background" for line in lines]


SEGMENT = "000000010000000000000005"


@pytest.mark.parametrize("code", [0, 1, 143])
def test_found_not_found_and_stopped_are_passed_on(tmp_path: Path, code: int) -> None:
    assert fetch(tmp_path, SEGMENT, background=code) == (code, ["background"])


@pytest.mark.parametrize("code", [0, 1, 103])
def test_a_timeout_of_the_background_is_no_end_of_the_archive(tmp_path: Path, code: int) -> None:
    """pgBackRest 2.45 to 2.58 ends with 82 when its two background processes have raced for their lock."""
    got = fetch(tmp_path, SEGMENT, background=82, foreground=code)
    assert got == (code, ["background", "foreground"])


def test_what_is_fetched_is_named_until_it_is_there(tmp_path: Path) -> None:
    fetch(tmp_path, SEGMENT, background=82)
    assert (tmp_path / "fetched").read_text().split() == [SEGMENT, SEGMENT]
    assert (tmp_path / "fetching").read_text() == ""


def test_a_frozen_archive_yields_nothing_behind_its_last_segment(tmp_path: Path) -> None:
    last = Segment(1, 5)
    assert fetch(tmp_path, SEGMENT, last=last) == (0, ["background"])
    assert fetch(tmp_path, "000000010000000000000006", last=last) == (1, ["background"])
    # History files are small, and say where the timelines part.
    assert fetch(tmp_path, "00000002.history", last=last)[0] == 0
