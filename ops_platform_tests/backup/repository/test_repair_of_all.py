"""``repository repair`` of all stanzas: what keeps one from being looked at keeps no other from it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from ops_platform.backup.repository import repair
from ops_platform.cli import cli
from ops_platform.errors import Unavailable
from ops_platform_tests.backup.shapes import write_two_repositories


def test_a_repository_that_is_away_does_not_end_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_two_repositories(tmp_path)
    monkeypatch.setenv("OPS_CONFIG_DIR", str(tmp_path))

    def mend(context: Any, **_: object) -> list[object]:
        if "@" not in context.stanza:
            raise Unavailable("S3 at near:443 cannot be reached")
        return []

    monkeypatch.setattr(
        "ops_platform.backup.stanza.open_context", lambda _, name: SimpleNamespace(stanza=name)
    )
    monkeypatch.setattr(repair, "repair", mend)
    shown = CliRunner().invoke(cli, ["repository", "repair"])
    assert shown.exit_code == Unavailable.exit_code
    assert [line.partition(":")[0] for line in shown.stdout.splitlines()] == [
        "product@offsite",
        "ops@offsite",
    ]
    assert "product: S3 at near:443 cannot be reached" in shown.stderr
    one = CliRunner().invoke(cli, ["repository", "repair", "--stanza", "product"])
    assert isinstance(one.exception, Unavailable)
