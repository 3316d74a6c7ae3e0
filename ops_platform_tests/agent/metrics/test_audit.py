"""The ledger: without an event to seal there is no oldest one, and an unread ledger is unknown."""

from __future__ import annotations

from ops_platform.agent.metrics import BucketState, LedgerState, VerificationState
from ops_platform_tests.agent.metrics.scraping import NOW, empty, full, scrape


def audited(samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> dict[str, float]:
    return {name: value for (name, _), value in samples.items() if name.startswith("audit_")}


def test_values_are_as_given() -> None:
    assert audited(scrape(full())) == {
        "audit_known": 1,
        "audit_unsealed_events": 2,
        "audit_oldest_unsealed_timestamp_seconds": NOW - 100,
        "audit_last_seal_timestamp_seconds": NOW - 100,
        "audit_bucket_known": 1,
        "audit_bucket_last_seal_number": 8,
        "audit_tail_missing_seals": 1,
        "audit_bucket_last_seal_timestamp_seconds": NOW - 100,
        "audit_verified_timestamp_seconds": NOW - 100,
        "audit_verified_in_full_timestamp_seconds": NOW - 100,
        "audit_verification_findings": 0,
    }


def test_a_ledger_without_events_has_no_times() -> None:
    known = empty()
    assert audited(scrape(known)) == {"audit_known": 0, "audit_bucket_known": 0}
    known.audit.ledger.put(LedgerState(0, None, None))
    known.audit.bucket.put(BucketState(0, None, 0))
    known.audit.verification.put(VerificationState())
    assert audited(scrape(known)) == {
        "audit_known": 1,
        "audit_unsealed_events": 0,
        "audit_bucket_known": 1,
        "audit_bucket_last_seal_number": 0,
        "audit_tail_missing_seals": 0,
    }
