"""The ledger: without an event to seal there is no oldest one, and an unread ledger is unknown."""

from __future__ import annotations

from ops_platform.agent.metrics import LedgerState
from ops_platform_tests.agent.metrics.scraping import NOW, empty, full, scrape


def audited(samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> dict[str, float]:
    return {name: value for (name, _), value in samples.items() if name.startswith("audit_")}


def test_values_are_as_given() -> None:
    assert audited(scrape(full())) == {
        "audit_known": 1,
        "audit_unsealed_events": 2,
        "audit_oldest_unsealed_timestamp_seconds": NOW - 100,
        "audit_last_seal_timestamp_seconds": NOW - 100,
    }


def test_a_ledger_without_events_has_no_times() -> None:
    known = empty()
    assert audited(scrape(known)) == {"audit_known": 0}
    known.audit.ledger.put(LedgerState(0, None, None))
    assert audited(scrape(known)) == {"audit_known": 1, "audit_unsealed_events": 0}
