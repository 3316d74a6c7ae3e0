"""Cases of gdpr.yml."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform_tests.dashboards.rule_case import HOUR, WEEK, Case, gauge

ERASURE = {"request_type": "erasure"}
FAILED = 'gdpr_requests_total{request_type="erasure",status="failed"}'
PENDING = 'gdpr_requests_total{request_type="export",status="pending"}'


def request(severity: str, request_type: str = "erasure", **labels: str) -> tuple[Mapping[str, str], ...]:
    return ({"severity": severity, "service": "gdpr", "request_type": request_type, **labels},)


def waiting(hours: float) -> dict[str, str]:
    return gauge("gdpr_oldest_pending_seconds", hours * 3600, **ERASURE)


GDPR = (
    Case("GdprDeadlineNear", "two thirds are over", 1, waiting(49), request("warning"), "2d 1h 0m 0s"),
    Case("GdprDeadlineNear", "48 hours to the second", 1, waiting(48)),
    Case("GdprDeadlineNear", "six hours are left", 1, waiting(67), request("critical"), "2d 19h 0m 0s"),
    Case(
        "GdprRequestFailed",
        "one failed ten minutes ago",
        20,
        {FAILED: "0x10 1x50"},
        request("warning", status="failed"),
    ),
    Case("GdprRequestFailed", "one failed long ago", 60, {FAILED: "3x60"}),
    Case(
        "GdprRequestFailed",
        "one was cancelled",
        20,
        {'gdpr_requests_total{request_type="erasure",status="cancelled"}': "0x10 1x50"},
    ),
    Case(
        "GdprUnusualVolume",
        "one a minute after a quiet week",
        WEEK + HOUR,
        # A sample every half hour.
        {PENDING: "0x336 30+30x10"},
        request("warning", "export", status="pending"),
        "60",
    ),
    Case("GdprUnusualVolume", "one a minute, as all week", WEEK + HOUR, {PENDING: "0+30x400"}),
    Case("GdprUnusualVolume", "a few after a quiet week", WEEK + HOUR, {PENDING: "0x336 5+5x10"}),
)
