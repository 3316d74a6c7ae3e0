"""The platform itself: loops, certificates, delivered alerts."""

from __future__ import annotations

from ops_platform.agent.supervised_loop import Loop, LoopState
from ops_platform_tests.agent.metrics.scraping import empty, full, scrape


def test_notifications_are_as_given() -> None:
    labels = (("severity", "critical"), ("status", "firing"))
    assert scrape(full())[("alert_notifications_last_day", labels)] == 4


def test_an_unreadable_certificate_has_no_date() -> None:
    samples = scrape(full())
    away = (("certificate", "tls/ca.pem"), ("source", "file"))
    assert samples[("certificate_known", away)] == 0
    assert ("certificate_expiry_timestamp_seconds", away) not in samples


def test_a_starting_loop_is_neither_healthy_nor_not() -> None:
    samples = scrape(empty(), (Loop("seal", 60, lambda: None), LoopState()))
    assert ("agent_loop_healthy", (("loop", "seal"),)) not in samples
    assert samples[("agent_loop_stuck", (("loop", "seal"),))] == 0
