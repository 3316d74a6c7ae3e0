"""Cases of gdpr.yml."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform_tests.dashboards.rule_case import HOUR, WEEK, Case, gauge

ERASURE = {"request_type": "erasure"}
FAILED = 'gdpr_requests_total{request_type="erasure",status="failed"}'
POSTS = {"stanza": "product", "table": "posts"}
PENDING = 'gdpr_requests_total{request_type="export",status="pending"}'


def answers(status: int, operation: str = "status") -> str:
    return f'gdpr_api_responses_total{{operation="{operation}",status="{status}"}}'


CUT = 'gdpr_api_refused_connections_total{reason="slow-head"}'
WRONG = "gdpr_api_wrong_tokens_total"


def api(severity: str = "warning") -> tuple[Mapping[str, str], ...]:
    return ({"severity": severity, "service": "gdpr"},)


def table_alert() -> tuple[Mapping[str, str], ...]:
    return ({"severity": "warning", "service": "gdpr", **POSTS},)


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
    Case(
        "GdprRetentionOverdue",
        "a run left rows behind",
        1,
        gauge("gdpr_retention_overdue_rows", 3, **POSTS),
        table_alert(),
        "3",
    ),
    Case(
        "GdprRetentionOverdue",
        "two products have a table of this name",
        1,
        gauge("gdpr_retention_overdue_rows", 3, **POSTS)
        | gauge("gdpr_retention_overdue_rows", 3, stanza="shop", table="posts"),
        (*table_alert(), {**table_alert()[0], "stanza": "shop"}),
        "3",
    ),
    Case("GdprRetentionOverdue", "none is late", 1, gauge("gdpr_retention_overdue_rows", 0, **POSTS)),
    Case(
        "GdprRetentionUnknown",
        "never looked at",
        50 * HOUR,
        gauge("gdpr_retention_looked_timestamp_seconds", 0, 101, **POSTS),
        table_alert(),
    ),
    Case(
        "GdprRetentionUnknown",
        "a term is new, and a run is to come",
        48 * HOUR,
        gauge("gdpr_retention_looked_timestamp_seconds", 0, 101, **POSTS),
    ),
    Case(
        "GdprRetentionUnknown",
        "looked at each day",
        80 * HOUR,
        {
            'gdpr_retention_looked_timestamp_seconds{stanza="product",table="posts"}': (
                "0x48 86400x48 172800x48 259200x48"
            )
        },
    ),
    # Operations and processes add up. Bursts begin within the ten minutes: of the first of them Prometheus 3
    # does not see the sample.
    Case(
        "GdprApiUnauthorised",
        "a burst over two operations",
        20,
        {answers(401): "0x12 60x20", answers(401, "request"): "0x12 60x20"},
        api(),
        "120",
    ),
    Case("GdprApiUnauthorised", "sessions that ended", 60, {answers(401): "0+5x60"}),
    Case("GdprApiUnknownRequests", "ids are tried", 20, {answers(404): "0x12 60x20"}, api(), "60"),
    Case("GdprApiUnknownRequests", "a scanner of other paths", 20, {answers(404, "other"): "0x12 900x20"}),
    Case(
        "GdprApiRateLimited", "a client that does not stop", 20, {answers(429): "0x12 120x20"}, api(), "120"
    ),
    Case(
        "GdprApiConnectionsRefused",
        "a client that draws its connections out",
        20,
        {CUT: "0x12 600x20"},
        ({"severity": "warning", "service": "gdpr", "reason": "slow-head"},),
        "600",
    ),
    Case("GdprApiConnectionsRefused", "people on slow lines", 60, {CUT: "0+20x60"}),
    Case("GdprApiRateLimited", "an impatient person", 20, {answers(429): "0x12 20x20"}),
    Case("GdprTokensGuessed", "a burst", 20, {WRONG: "0x12 30x20"}, api("critical"), "30"),
    Case("GdprTokensGuessed", "typing errors", 60, {WRONG: "0+1x60"}),
)
