"""The calendar's checks in Dagster, over a real ops database."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from ops_platform import files
from ops_platform.clients import postgres
from ops_platform.definitions import build_defs
from ops_platform.defs.housekeeping.duty_checks import known_duties
from ops_platform.defs.resources import PlatformResource
from ops_platform.housekeeping import calendar
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.services import OpsDatabase

ONE = "duties:\n  contacts:\n    every: quarter\n    what: Numbers are tried.\n    evidence: hand\n"


class Known(PlatformResource):
    """The platform with settings of a test."""

    values: dict[str, str]

    def settings(self) -> Settings:
        return load_settings(self.values)


def test_a_wrong_calendar_takes_no_definitions_away(tmp_path: Path) -> None:
    (tmp_path / "calendar.yaml").write_text(ONE, encoding="utf-8")
    assert known_duties(tmp_path).keys() == {"contacts"}
    (tmp_path / "calendar.yaml").write_text("duties: 7\n", encoding="utf-8")
    assert known_duties(tmp_path) == calendar.load_calendar(files.default_config_dir()).duties


@pytest.mark.services
def test_a_duty_passes_when_it_was_done_for_every_stanza(ops_database: OpsDatabase) -> None:
    platform = Known(values={"OPS_DATABASE_URL": ops_database.url()})
    job = build_defs(platform.settings(), {"platform": platform}).resolve_job_def("calendar_checks")

    def passed() -> set[str]:
        done = job.execute_in_process(instance=instance)
        answers = {one.asset_key.path[-1]: one.passed for one in done.get_asset_check_evaluations()}
        assert answers.keys() == calendar.load_calendar(files.default_config_dir()).duties.keys()
        return {name for name, answer in answers.items() if answer}

    with dg.DagsterInstance.ephemeral() as instance, postgres.session(ops_database.url()) as ops:
        assert passed() == set()
        calendar.record_performed(ops, "backup_cleanup", "run-1", stanza="product")
        calendar.record_performed(ops, "request_review", "run-2")
        ops.commit()
        assert passed() == {"request_review"}
        calendar.record_performed(ops, "backup_cleanup", "run-3", stanza="ops")
        ops.commit()
        assert passed() == {"request_review", "cleanup"}
