"""The arithmetic of scales."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.errors import ConfigurationError
from ops_platform.local.demo.seed.plan import LARGEST_SCALE, MONTHS, SMALLEST_SCALE, plan
from ops_platform.local.demo.seed.statements import month_start, parameters, steps

scales = st.floats(min_value=SMALLEST_SCALE, max_value=LARGEST_SCALE)
HEAVY_TABLES = (
    "posts",
    "comments",
    "media",
    "sessions",
    "webhook_deliveries",
    "usage_logs",
    "audit_logs",
)


@given(scales)
def test_heavy_rows_leave_room_for_the_others(scale: float) -> None:
    the_plan = plan(scale)
    assert 1 <= the_plan.heavy < the_plan.creators
    for table in HEAVY_TABLES:
        assert the_plan.heavy * the_plan.heavy_rows(table) < the_plan.rows(table)
    # Each creator who is not heavy has a first post after the heavy ones' posts.
    assert the_plan.heavy * the_plan.heavy_rows("posts") + the_plan.creators <= the_plan.rows("posts")


@given(st.floats(min_value=1, max_value=LARGEST_SCALE))
def test_a_heavy_creator_is_the_same_at_every_scale(scale: float) -> None:
    rows = sum(plan(scale).heavy_rows(table) for table in HEAVY_TABLES)
    assert rows == sum(plan(1).heavy_rows(table) for table in HEAVY_TABLES) >= 10_000


@pytest.mark.parametrize("scale", [0, -1, 0.001, 5000, float("nan"), float("inf")])
def test_scales_out_of_range_are_refused(scale: float) -> None:
    with pytest.raises(ConfigurationError, match="OPS_DEMO_SCALE"):
        plan(scale)


def test_months_are_the_year_before_the_base_time() -> None:
    assert month_start(0) == datetime(2025, 1, 1, tzinfo=UTC)
    assert month_start(MONTHS) == datetime(2026, 1, 1, tzinfo=UTC)
    assert parameters(plan(1), 1)["month_seconds"] == 28 * 86_400


def test_steps_have_names_of_their_own() -> None:
    names = [step.name for step in steps()]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("usage_logs") for name in names) == MONTHS
