"""A soak of the plan, in simulated time: whatever the sizes, bounds and crashes, nothing expires unread.

A day is a step. What is stored at a moment lives for the retention; each night one run reads in the order of
the plan and within its budget, and may be killed at any object.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ops_platform.backup.proof.reading_plan import Budget, StoredItem, in_order, period
from ops_platform_tests import hypothesis_profile

EPOCH = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SPARE = 1.5
"""A night may read this much more than what the plan needs of it."""


def night(
    items: dict[str, StoredItem], reads: dict[str, int], now: datetime, budget: Budget, counts_for: timedelta,
    killed_after: int | None,
) -> int:  # fmt: skip
    """One run; the number of bytes that it read."""
    spent = 0
    for number, item in enumerate(in_order(items.values(), now)):
        if not budget.allows(0.0, spent, item.size) or number == killed_after:
            break
        spent += item.size
        reads[item.name] = reads.get(item.name, 0) + 1
        items[item.name] = replace(item, read_at=now, due_at=now + counts_for)
    return spent


@settings(max_examples=hypothesis_profile.examples(60))
@given(
    retention_days=st.integers(min_value=6, max_value=40),
    sizes=st.lists(st.integers(min_value=1, max_value=1000), min_size=4, max_size=12),
    weekly=st.integers(min_value=0, max_value=20_000),
    kills=st.lists(st.one_of(st.none(), st.none(), st.integers(min_value=0, max_value=5)), max_size=30),
)
def test_each_object_is_read_twice_before_it_expires(
    retention_days: int, sizes: list[int], weekly: int, kills: list[int | None]
) -> None:
    retention = timedelta(days=retention_days)
    counts_for = period(retention)
    # A night has to read what is new, and what is kept once in a period less the day between two runs.
    daily = sum(sizes) + weekly / 7
    kept = daily * retention_days + weekly
    nights = counts_for / DAY - 1
    budget = Budget(1.0, int(SPARE * (daily + kept / nights)) + weekly)
    items: dict[str, StoredItem] = {}
    reads: dict[str, int] = {}
    for day in range(3 * retention_days):
        now = EPOCH + day * DAY
        for number, size in enumerate([*sizes, *([weekly] if day % 7 == 0 else [])]):
            stored = StoredItem("set", "F", f"{day}/{number}", size, now, now + counts_for)
            items[stored.name] = stored
        expired = [name for name, item in items.items() if item.stored_at + retention <= now]
        for name in expired:
            assert reads.get(name, 0) >= 2, f"{name} expired after {reads.get(name, 0)} readings"
            del items[name]
        # Now and then a run is killed half-way, but never two nights in a row.
        killed_after = (
            kills[day // 2] if day % 2 == 0 and day // 2 < len(kills) and retention_days >= 12 else None
        )
        assert night(items, reads, now, budget, counts_for, killed_after) <= budget.bytes


def item(name: str, due_days: float, *, read: bool) -> StoredItem:
    due = EPOCH + timedelta(days=due_days)
    return StoredItem("set", "F", name, 1, EPOCH, due, EPOCH if read else None)


def test_what_is_due_goes_before_what_is_new() -> None:
    items = [
        item("new", 9, read=False),
        item("late", -3, read=True),
        item("read", 5, read=True),
        item("due", 0.5, read=True),
        item("never read and late", -5, read=False),
    ]
    assert [one.name for one in in_order(items, EPOCH)] == ["never read and late", "late", "due", "new"]


def test_a_run_reads_at_least_one_object_and_keeps_to_its_bounds() -> None:
    budget = Budget(10.0, 100)
    assert budget.allows(99.0, 0, 10_000)
    assert budget.allows(9.9, 60, 40)
    assert not budget.allows(9.9, 60, 41)
    assert not budget.allows(10.0, 60, 1)
