"""Each tick asks for the window that is over, and for none where nobody promised anything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.slo.schedules import slo_days_daily, slo_windows_hourly


def tick(
    schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, at: datetime
) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_schedule_context(
        instance, scheduled_execution_time=at, resources={"platform": PlatformResource()}
    )
    answer = schedule(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


@pytest.mark.parametrize(
    ("schedule", "at", "key"),
    [
        (slo_windows_hourly, datetime(2026, 5, 1, 10, 7, tzinfo=UTC), "2026-05-01-09:00"),
        (slo_windows_hourly, datetime(2026, 5, 1, 0, 7, tzinfo=UTC), "2026-04-30-23:00"),
        (slo_days_daily, datetime(2026, 5, 1, 0, 20, tzinfo=UTC), "2026-04-30"),
    ],
)
def test_the_window_that_is_over(
    schedule: dg.ScheduleDefinition, at: datetime, key: str, empty_instance: dg.DagsterInstance
) -> None:
    request = tick(schedule, empty_instance, at)
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.run_key) == (key, key)


@pytest.mark.parametrize("schedule", [slo_windows_hourly, slo_days_daily])
def test_without_objectives_nothing_is_asked_for(
    schedule: dg.ScheduleDefinition,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    empty_instance: dg.DagsterInstance,
) -> None:
    monkeypatch.setenv("OPS_CONFIG_DIR", str(tmp_path))
    answer = tick(schedule, empty_instance, datetime(2026, 5, 1, 0, 20, tzinfo=UTC))
    assert isinstance(answer, dg.SkipReason)
    assert "no objectives" in str(answer.skip_message)
