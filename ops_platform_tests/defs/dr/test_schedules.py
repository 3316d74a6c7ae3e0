"""When recovery is exercised, and what a tick asks for."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from ops_platform.backup.stanza.config_file import load_backups
from ops_platform.backup.stanza.cron import Cron
from ops_platform.defs.dr.assets import exercise_key
from ops_platform.defs.dr.schedules import CHECK_CRON, EXERCISE_CRON, REFERENCE_CRON
from ops_platform.dr.plan.scenario import SCENARIOS
from ops_platform.settings import load_settings

SETTINGS = load_settings({"OPS_STATE_DIR": "/nonexistent"})
FIRST = datetime(2026, 12, 1, 6, 10, tzinfo=UTC)


def requests(defs: dg.Definitions, name: str, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    schedule = defs.resolve_schedule_def(name)
    context = dg.build_schedule_context(instance, scheduled_execution_time=FIRST)
    return list(schedule.evaluate_tick(context).run_requests or ())


def test_a_month_exercises_every_scenario_of_every_stanza_in_runs_of_their_own(
    defs: dg.Definitions, empty_instance: dg.DagsterInstance
) -> None:
    asked = {}
    for stanza in ("product", "ops"):
        [asked[stanza]] = requests(defs, f"dr_exercise_monthly_{stanza}", empty_instance)
    for stanza, request in asked.items():
        assert request.tags["ops/stanza"] == stanza
        assert request.asset_selection == [exercise_key(stanza, scenario) for scenario in SCENARIOS]
        # None means all checks of these assets.
        assert request.asset_check_keys is None
    assert len({one.run_key for one in asked.values()}) == 2


@pytest.mark.parametrize(
    "name", ["backup_restore_check_weekly", "dr_reference_hourly", "tombstone_expiry_daily"]
)
def test_the_others_name_the_stanza_in_run_config(
    name: str, defs: dg.Definitions, empty_instance: dg.DagsterInstance
) -> None:
    for stanza in ("product", "ops"):
        assert [one.run_config for one in requests(defs, f"{name}_{stanza}", empty_instance)] == [
            {"stanza": stanza}
        ]


@pytest.mark.parametrize("cron", [EXERCISE_CRON, CHECK_CRON, REFERENCE_CRON])
def test_none_is_due_in_the_minute_of_a_backup(cron: str) -> None:
    minute = cron.split()[0]
    for stanza in load_backups(SETTINGS).stanzas.values():
        assert minute not in {one.split()[0] for one in stanza.schedules.values() if one}
    assert Cron(cron).last(datetime(2026, 12, 3, tzinfo=UTC)) is not None
