"""The policy file, freeze windows and overrides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.errors import ConfigurationError
from ops_platform.gate import CHECKS, Freeze, Policy, decide, load_policy
from ops_platform.gate.freeze import DAYS
from ops_platform.gate.override import Override
from ops_platform_tests.gate.healthy import NOW, changed, facts

GOOD = """\
checks: [freeze, budgets]
least_budget_percent: 25
freezes:
  - because: nobody is here at night
    weekly: [fri, sat]
    at: "16:00"
    until: "08:00"
  - because: the year's end
    begins: 2026-12-24T00:00:00Z
    ends: 2027-01-02T00:00:00Z
    services: [shop]
"""


def load(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "gate.yaml"
    file.write_text(text, encoding="utf-8")
    return load_policy(file)


def test_a_policy_is_read(tmp_path: Path) -> None:
    policy = load(tmp_path, GOOD)
    # In the order in which reasons are given.
    assert policy.checks == ("budgets", "freeze")
    assert policy.least_budget_percent == 25
    assert [window.because for window in policy.freezes] == ["nobody is here at night", "the year's end"]
    assert load(tmp_path, "{}").checks == CHECKS


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("least_budget_percent: 25", "least_budget_percent: 100", ":2: least_budget_percent: "),
        ("least_budget_percent", "budget", ":2: budget: is not known here"),
        ("budgets]", "budget]", ":1: checks: budget is no check: name some of agent, budgets"),
        ("[freeze, budgets]", "[]", "name some of"),
        ("[fri, sat]", "[friday]", "weekly"),
        ("[fri, sat]", "[]", "a freeze has begins and ends, or weekly days"),
        ("2027-01-02T00:00:00Z", "2026-01-02T00:00:00Z", "in this order"),
        ("2027-01-02T00:00:00Z", "2027-01-02T00:00:00", "timezone"),
        ("because: the year's end", "because: x", "because"),
        ('"08:00"', '"25:00"', "until"),
    ],
)
def test_a_wrong_policy_is_refused_by_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError, match=r"gate\.yaml:") as refused:
        load(tmp_path, GOOD.replace(old, new))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_night_goes_on_into_the_next_day(tmp_path: Path) -> None:
    night = load(tmp_path, GOOD).freezes[0]
    friday = datetime(2026, 12, 4, tzinfo=UTC)
    morning = friday + timedelta(days=1, hours=8)
    assert night.end(friday + timedelta(hours=15, minutes=59)) is None
    assert night.end(friday + timedelta(hours=16)) == morning
    assert night.end(morning - timedelta(seconds=1)) == morning
    assert night.end(morning) is None
    assert night.end(friday + timedelta(days=2, hours=7)) == friday + timedelta(days=2, hours=8)
    assert night.end(friday + timedelta(days=2, hours=9)) is None


@given(
    days=st.sets(st.sampled_from(DAYS), min_size=1),
    at=st.times(),
    until=st.times(),
    minutes=st.integers(0, 20_160),
)
def test_a_weekly_window_ends_within_a_day_and_begins_on_its_days(
    days: set[str], at: object, until: object, minutes: int
) -> None:
    window = Freeze.model_validate({"because": "test", "weekly": sorted(days), "at": at, "until": until})
    now = NOW + timedelta(minutes=minutes)
    end = window.end(now)
    if end is None:
        return
    assert now < end <= now + timedelta(days=1)
    # Just before its end it still holds, and then it does not, unless the next one has begun.
    assert window.end(end - timedelta(microseconds=1)) == end
    begun = window.end(end)
    assert begun is None or begun > end


def override(**others: object) -> Override:
    made = Override(
        "shop", ("recovery_point",), "ada", "the archive is being moved", NOW + timedelta(hours=2)
    )
    return replace(made, **others)  # type: ignore[arg-type]


def test_an_override_covers_its_checks_of_its_service_until_it_ends() -> None:
    spoiled = changed("backup_rpo_seconds", 901)
    decision = decide(spoiled, Policy(), "shop", [override()])
    assert decision.verdict == "allow"
    [covered] = [reason for reason in decision.reasons if reason.override]
    assert covered.check == "recovery_point"
    assert "901 s would be lost" in covered.text
    assert covered.override == "ada until 2026-12-02 12:00Z: the archive is being moved"
    for other in (
        override(service="mail"),
        override(checks=("alerts",)),
        override(expires_at=NOW),
    ):
        assert decide(spoiled, Policy(), "shop", [other]).verdict == "deny"
    # Nor does one of a single service cover a question about all.
    assert decide(spoiled, Policy(), None, [override()]).verdict == "deny"
    assert decide(spoiled, Policy(), None, [override(service=None)]).verdict == "allow"
    assert not any(reason.override for reason in decide(facts(), Policy(), "shop", [override()]).reasons)
