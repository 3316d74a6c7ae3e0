"""Facts are told while they are good, and not a moment longer."""

from __future__ import annotations

from ops_platform.agent.expiring_value import ExpiringValue
from ops_platform.clients.waiting import wait_until


def test_a_fact_that_was_never_seen_is_unknown() -> None:
    slot: ExpiringValue[int] = ExpiringValue(60)
    assert slot.get() is None
    assert slot.age() is None


def test_a_fact_becomes_unknown_when_it_was_not_seen_for_too_long() -> None:
    slot: ExpiringValue[int] = ExpiringValue(0.05)
    slot.put(7)
    assert slot.get() == 7
    wait_until(lambda: slot.get() is None, 2, "expiry", interval=0.01)
    assert (slot.age() or 0) > 0.05


def test_a_false_is_known() -> None:
    slot: ExpiringValue[bool] = ExpiringValue(60)
    slot.put(False)
    assert slot.get() is False


def test_some_facts_stay_true() -> None:
    slot: ExpiringValue[int] = ExpiringValue(None)
    slot.put(7)
    assert slot.get() == 7
    slot.forget()
    assert slot.get() is None
