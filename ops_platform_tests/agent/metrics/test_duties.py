"""Duties of the calendar: their times; a calendar that cannot be read tells nothing, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.agent.metrics import DutyMetrics
from ops_platform.clients import postgres
from ops_platform.housekeeping.calendar import CalendarFile
from ops_platform_tests.agent.metrics.scraping import NOW, empty, full, scrape
from ops_platform_tests.services import OpsDatabase

CONTACTS = (("every", "quarter"), ("evidence", "hand"), ("name", "contact_list"), ("stanza", ""))


def test_each_duty_is_exported_with_its_times() -> None:
    samples = {key: value for key, value in scrape(full()).items() if key[0].startswith("duty_")}
    assert samples == {
        ("duty_calendar_known", ()): 1,
        ("duty_done_timestamp_seconds", CONTACTS): 0,
        ("duty_due_timestamp_seconds", CONTACTS): NOW + 86_400,
        ("duty_reminder_timestamp_seconds", CONTACTS): NOW - 13 * 86_400,
        ("duty_escalation_timestamp_seconds", CONTACTS): NOW + 8 * 86_400,
    }


def test_what_was_not_read_is_not_known() -> None:
    samples = {key: value for key, value in scrape(empty()).items() if key[0].startswith("duty_")}
    assert samples == {("duty_calendar_known", ()): 0}


@pytest.mark.services
def test_the_agent_reads_them_until_the_file_is_wrong(ops_database: OpsDatabase, tmp_path: Path) -> None:
    metrics = DutyMetrics(60, CalendarFile(tmp_path), ["product"])
    with postgres.session(ops_database.url("ops_agent")) as ops:
        metrics.read(ops)
        due = [sample for sample in metrics.samples(0) if sample.name == "duty_due_timestamp_seconds"]
        assert ("restore_test", "product", "week", "restore_check") in {sample.labels for sample in due}
        (tmp_path / "calendar.yaml").write_text("duties: 7\n", encoding="utf-8")
        metrics.read(ops)
    assert [(sample.name, sample.value) for sample in metrics.samples(0)] == [("duty_calendar_known", 0)]
