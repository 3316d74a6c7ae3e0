"""The calendar's file, its default, and its page of the documents."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ops_platform import files
from ops_platform.errors import ConfigurationError
from ops_platform.housekeeping.calendar import BY_HAND, CalendarFile, load_calendar
from ops_platform.housekeeping.calendar.evidence import EVIDENCE
from ops_platform_tests.housekeeping.calendar import page

GOOD = """\
duties:
  contact_list:
    every: quarter
    what: Telephone numbers are tried.
    evidence: hand
    remind_days: 14
"""


def test_the_default_has_duties_of_every_cadence_and_uses_all_evidence(tmp_path: Path) -> None:
    duties = load_calendar(tmp_path).duties
    assert duties == load_calendar(files.default_config_dir()).duties
    assert Counter(duty.every for duty in duties.values()).keys() == {
        "day",
        "week",
        "month",
        "quarter",
        "year",
    }
    assert {duty.evidence for duty in duties.values()} == {BY_HAND, *EVIDENCE}


def test_the_page_is_made_from_the_definitions() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert text == page.page(text), "python -m ops_platform_tests.housekeeping.calendar.page"
    assert all(f"`{name}`" in text for name in EVIDENCE)


def test_the_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    file = CalendarFile(tmp_path)
    assert len(file.calendar().duties) > 1
    (tmp_path / "calendar.yaml").write_text(GOOD, encoding="utf-8")
    assert file.calendar().duties.keys() == {"contact_list"}
    (tmp_path / "calendar.yaml").write_text(GOOD.replace("contact_list", "contacts"), encoding="utf-8")
    assert file.calendar().duties.keys() == {"contacts"}
    (tmp_path / "calendar.yaml").write_text("duties: {}", encoding="utf-8")
    with pytest.raises(ConfigurationError):
        file.calendar()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("quarter", "fortnight", ":3: duties.contact_list.every: "),
        ("hand", "hope", "hope is no evidence: use one of hand, watchdog"),
        ("remind_days: 14", "remind_days: -1", ":6: duties.contact_list.remind_days: "),
        ("remind_days", "remind", ":6: duties.contact_list.remind: is not known here"),
        ("contact_list", "Contact list", "Contact list"),
        ("    what: Telephone numbers are tried.\n", "", "what"),
    ],
)
def test_a_wrong_calendar_is_refused_by_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    (tmp_path / "calendar.yaml").write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"calendar\.yaml:") as refused:
        load_calendar(tmp_path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
