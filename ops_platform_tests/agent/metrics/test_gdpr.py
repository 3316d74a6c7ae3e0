"""Data subjects' requests: open ones age, none at all is no age."""

from __future__ import annotations

from ops_platform_tests.agent.metrics.scraping import full, scrape


def test_open_requests_age_and_no_request_is_no_age() -> None:
    samples = scrape(full())
    assert samples[("gdpr_oldest_pending_seconds", (("request_type", "erasure"),))] == 100
    assert samples[("gdpr_oldest_pending_seconds", (("request_type", "export"),))] == 0
    assert samples[("gdpr_requests_total", (("request_type", "export"), ("status", "failed")))] == 0
    assert ("gdpr_processing_duration_ms", (("request_type", "export"),)) not in samples
