"""What is said of the other repository: a command that was tried, or why it cannot help either."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.cli.restore import next_steps, restore
from ops_platform.dr.emergency import judgement, other_repository
from ops_platform.dr.emergency.other_repository import CannotBegin, Wanted
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable

COMMAND = "ops_platform.dr.emergency.restore_command"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
WANTED = Wanted(Path("/d"), RecoveryTarget.latest(), "--latest --tablespace-map 'old=/new place'")
OFFSITE = SimpleNamespace(
    stanza=SimpleNamespace(cluster="product"),
    config=SimpleNamespace(repository=SimpleNamespace(name="offsite")),
)


def context(*others: Any) -> Any:
    return cast(Any, SimpleNamespace(in_other_repositories=lambda: list(others)))


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = SimpleNamespace(backup_set=SimpleNamespace(label="20260601-000000F"))
    monkeypatch.setattr("ops_platform.backup.taking.preflight.reach_endpoint", lambda ctx, tries: None)
    monkeypatch.setattr(f"{COMMAND}.open_workspace", lambda ctx, directory: nullcontext())
    monkeypatch.setattr(f"{COMMAND}.explain", lambda *_: SimpleNamespace(plan=plan))


@pytest.mark.usefixtures("explained")
def test_the_command_is_one_that_the_command_line_takes() -> None:
    said = other_repository.advice(context(OFFSITE), WANTED, NOW)
    assert said is not None
    assert said.startswith("the repository offsite can do it, from set 20260601-000000F: run ops")
    _, _, *words = shlex.split(said.partition("run ")[2])
    parsed = restore.make_context("restore", words).params
    assert (parsed["stanza"], parsed["repository_name"]) == ("product", "offsite")
    assert (parsed["directory"], parsed["latest"]) == (Path("/d"), True)
    assert parsed["tablespaces"] == ("old=/new place",)


@pytest.mark.usefixtures("explained")
def test_another_repository_that_cannot_help_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(ctx: Any, tries: int) -> None:
        raise Unavailable("S3 at far:1 cannot be reached")

    monkeypatch.setattr("ops_platform.backup.taking.preflight.reach_endpoint", away)
    said = other_repository.advice(context(OFFSITE), WANTED, NOW)
    assert said == "nor can it be restored from the repository offsite: S3 at far:1 cannot be reached"


def test_without_another_repository_nothing_is_said() -> None:
    assert other_repository.advice(context(), WANTED, NOW) is None


@pytest.mark.parametrize("reason", [Unavailable("S3 is away"), CheckFailed("no set fits")])
def test_the_refusal_keeps_its_words_and_exit_code(reason: Unavailable | CheckFailed) -> None:
    error = CannotBegin(reason, "the repository offsite can do it")
    assert str(error) == f"{reason}; the repository offsite can do it"
    assert error.exit_code == reason.exit_code


def test_another_repository_whose_settings_are_missing_hides_no_reason() -> None:
    def lacking() -> list[Any]:
        raise ConfigurationError("OPS_REPO2_PGBACKREST_CIPHER_PASS is not set")

    said = other_repository.advice(cast(Any, SimpleNamespace(in_other_repositories=lacking)), WANTED, NOW)
    assert said == (
        "nor can it be restored from the other repository: OPS_REPO2_PGBACKREST_CIPHER_PASS is not set"
    )


def test_after_a_restore_from_the_past_the_next_backup_goes_elsewhere() -> None:
    done = judgement.Judgement(restored=True, may_start=True, unknown=())
    live, past = (
        next_steps("product", Path("/data"), done, None, None, is_past) for is_past in (False, True)
    )
    assert any("ops-platform backup full" in line for line in live)
    assert not any("ops-platform backup full" in line for line in past)
    assert "'The backup key was stolen', step 6" in past[-1]
