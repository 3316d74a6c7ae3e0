"""What people type as a recovery target, and what pgBackRest is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.dr.plan.recovery_target import RecoveryTarget, TargetKind
from ops_platform.dr.verification.recovery_checks import Branch, stopped_at
from ops_platform.errors import ConfigurationError


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("time", "2026-01-31 14:05:00"),
        ("time", "yesterday"),
        ("time", ""),
        ("time", "2026-02-30 14:05:00+00"),
        ("time", "0001-01-01 00:00:00+14"),
        ("time", "9999-12-31 23:00:00-14"),
        ("lsn", "0/"),
        ("lsn", "16777216"),
        ("lsn", "0/G"),
        ("xid", "0"),
        ("xid", "-7"),
        ("xid", "12x"),
        ("name", ""),
        ("name", "it's"),
        ("name", "a\\b"),
        ("name", "a\nb"),
        ("name", "x" * 64),
    ],
)
def test_what_is_no_target_is_refused_with_a_way_out(kind: TargetKind, text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        RecoveryTarget.parse(kind, text)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "text", "options"),
    [
        ("latest", "", ["--type=default"]),
        ("immediate", "", ["--type=immediate", "--target-action=promote"]),
        ("lsn", "0/30001AB", ["--type=lsn", "--target=0/30001AB", "--target-action=promote"]),
        ("name", "before deploy", ["--type=name", "--target=before deploy", "--target-action=promote"]),
        ("xid", "4711", ["--type=xid", "--target=4711", "--target-action=promote"]),
        (
            "time",
            "2026-01-31T14:05:00+02:00",
            ["--type=time", "--target=2026-01-31 12:05:00.000000+00", "--target-action=promote"],
        ),
    ],
)
def test_options(kind: TargetKind, text: str, options: list[str]) -> None:
    assert list(RecoveryTarget.parse(kind, text).options()) == options


def test_the_timeline_is_told_except_where_it_is_the_sets_own() -> None:
    assert "--target-timeline=3" in RecoveryTarget.latest().options("3")
    assert not [one for one in RecoveryTarget("immediate").options("3") if "timeline" in one]


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),
    st.integers(min_value=-12 * 60, max_value=14 * 60),
)
def test_a_moment_survives_whatever_its_zone(moment: datetime, offset: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    target = RecoveryTarget.at(aware)
    assert target.moment == aware
    assert target.value is not None
    assert target.value.endswith("+00")
    assert RecoveryTarget.parse("time", target.value) == target


def test_a_moment_without_a_zone_is_nobodys() -> None:
    with pytest.raises(ConfigurationError, match="time zone"):
        RecoveryTarget.at(datetime(2026, 1, 1))
    assert RecoveryTarget.at(datetime(2026, 1, 1, tzinfo=UTC)).moment is not None


@pytest.mark.parametrize(
    ("kind", "text", "reason", "end", "reached"),
    [
        ("lsn", "0/4000000", "after LSN 0/4000028", 0x4000060, True),
        ("lsn", "0/4000000", "before LSN 0/4000000", 0x4000000, True),
        ("lsn", "0/4000000", "after LSN 0/3FFFFF8", 0x3FFFFF8, False),
        ("lsn", "0/4000000", "no recovery target specified", 0x4000060, False),
        ("name", "before the change", 'at restore point "before the change"', 1, True),
        ("name", "before the change", 'at restore point "before"', 1, False),
        ("xid", "841", "after transaction 841", 1, True),
        ("xid", str(2**32 + 841), "before transaction 841", 1, True),
        ("xid", "41", "after transaction 841", 1, False),
        ("xid", "841", "", 1, False),
    ],
)
def test_where_recovery_ended_is_read_from_the_history(
    kind: TargetKind, text: str, reason: str, end: int, reached: bool
) -> None:
    assert stopped_at(RecoveryTarget.parse(kind, text), Branch(2, 1, end, reason)) == reached
