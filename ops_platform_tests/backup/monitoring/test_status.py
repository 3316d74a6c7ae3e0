"""What the status says to a person, by what is known and what is not."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from ops_platform.backup.monitoring import status
from ops_platform.backup.monitoring.accounts import Accounts
from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.monitoring.status import notes_on
from ops_platform.backup.monitoring.window import Window
from ops_platform.backup.stanza import load_backups
from ops_platform.cli import cli
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.settings import Settings
from ops_platform_tests.backup.shapes import repository, write_two_repositories


@pytest.mark.parametrize(("lost", "told"), [((), True), (("20261101-000000F",), False), (None, False)])
def test_a_repository_without_sets_is_a_new_one_only_if_none_was_recorded(
    lost: tuple[str, ...] | None, told: bool
) -> None:
    empty = Observation(repository(), None, None, None)
    unknown = "the ops database is away" if lost is None else None
    notes = notes_on(Accounts(empty, Window(), timedelta(days=35), lost, None, unknown), set())
    assert any("there is no backup yet" in note for note in notes) == told
    assert any("is unknown: the ops database is away" in note for note in notes) == (lost is None)


def test_a_repository_that_is_away_hides_nothing_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_two_repositories(tmp_path)
    monkeypatch.setenv("OPS_CONFIG_DIR", str(tmp_path))

    def context(settings: Settings, name: str) -> SimpleNamespace:
        config = load_backups(settings)
        stanza = config.stanzas[name]
        return SimpleNamespace(stanza=stanza, config=config.of_repository(config.repository_of(stanza)))

    def answer(ctx: Any) -> dict[str, Any]:
        if not ctx.stanza.in_first_repository:
            return {**status.unread(ctx.stanza, "offsite", Unavailable("")), "notes": []}
        raise Unavailable("S3 at first:1 cannot be reached")

    monkeypatch.setattr("ops_platform.backup.stanza.open_context", context)
    monkeypatch.setattr(status, "stanza_status", answer)
    shown = CliRunner().invoke(cli, ["backups", "--stanza", "product", "--json"])
    first, second = json.loads(shown.stdout)
    assert shown.exit_code == Unavailable.exit_code
    assert (first["stanza"], first["repository"], first["sets"]) == ("product", "primary", [])
    assert (first["rpo_seconds"], first["wal_gap_segments"], first["window_is_short"]) == (None, None, None)
    assert first["notes"] == ["the repository primary cannot be read: S3 at first:1 cannot be reached"]
    assert (second["stanza"], second["repository"], second["notes"]) == ("product@offsite", "offsite", [])
    people = CliRunner().invoke(cli, ["backups", "--stanza", "product"])
    assert "cannot be read" in people.stdout
    assert "WAL archive: unknown" in people.stdout
    alone = CliRunner().invoke(cli, ["backups", "--stanza", "product@offsite", "--json"])
    assert [entry["stanza"] for entry in json.loads(alone.stdout)] == ["product@offsite"]
    assert alone.exit_code == 0

    def lacking(settings: Settings, name: str) -> SimpleNamespace:
        if "@" not in name:
            raise ConfigurationError("OPS_PGBACKREST_CIPHER_PASS is not set")
        return context(settings, name)

    monkeypatch.setattr("ops_platform.backup.stanza.open_context", lacking)
    without = CliRunner().invoke(cli, ["backups", "--stanza", "product", "--json"])
    assert [entry["notes"] for entry in json.loads(without.stdout)] == [
        ["the repository primary cannot be read: OPS_PGBACKREST_CIPHER_PASS is not set"],
        [],
    ]
    assert without.exit_code == ConfigurationError.exit_code
