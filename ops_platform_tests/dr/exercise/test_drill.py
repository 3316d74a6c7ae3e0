"""Restores for real, each to its target and no further, and leaves the source alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ops_platform.dr.exercise.drill import rehearse
from ops_platform.dr.restore.scratch_cluster import scratch
from ops_platform_tests.backup.site import Site, silent
from ops_platform_tests.dr.practice import archive_now, knowledge, strike

pytestmark = pytest.mark.full


def answers(site: Site, name: str, t0: datetime) -> dict[str, str]:
    with scratch(site.settings, "test:rehearsal", "r1") as here:
        done = rehearse(site.context, here, name, knowledge(site, name, t0), t0, print, silent)  # type: ignore[arg-type]
    print(done)
    assert not here.directory.exists()
    return {one.name: f"{one.result}: {one.summary}" for one in done.results}


def test_latest_stops_at_the_archive_as_it_stood(beating: Site) -> None:
    t0 = datetime.now(UTC)
    found = answers(beating, "latest", t0)
    for name in ("backup_selected", "restored", "recovered_and_promoted", "archive_mode_off", "timeline"):
        assert found[name].startswith("pass"), found
    assert found["recovery_target"].startswith("pass"), found
    assert found["system_identifier"].startswith("pass"), found


def test_a_moment_between_two_heartbeats(beating: Site) -> None:
    strike(beating, 2)
    archive_now(beating)
    found = answers(beating, "pitr", datetime.now(UTC))
    assert found["recovery_target"].startswith("pass"), found
    assert "the next one is absent" in found["recovery_target"]
