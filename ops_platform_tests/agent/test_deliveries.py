"""The alert receiver: what is a notification, what is recorded once, what counts as a repeat."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ops_platform.agent import deliveries
from ops_platform.agent.metrics import SystemMetrics
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed
from ops_platform_tests.services import OpsDatabase


def body(**changes: Any) -> dict[str, Any]:
    """As Alertmanager 0.25 posts it."""
    alert = {
        "status": "firing",
        "labels": {
            "alertname": "RpoCritical",
            "severity": "critical",
            "service": "backup",
            "stanza": "product",
        },
        "annotations": {"summary": "product would lose 20m 0s of data"},
        "startsAt": "2030-01-02T03:04:05.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": "0123456789abcdef",
        **changes,
    }
    return {
        "version": "4",
        "groupKey": '{}:{alertname="RpoCritical"}',
        "receiver": "on-call",
        "status": "firing",
        "alerts": [alert],
    }


def test_a_firing_alert_has_no_end() -> None:
    (delivery,) = deliveries.parse(body())
    assert delivery.ends_at is None
    assert delivery.starts_at.isoformat() == "2030-01-02T03:04:05.123456+00:00"
    assert delivery.labels["stanza"] == "product"


def test_a_resolved_alert_has_one() -> None:
    (delivery,) = deliveries.parse(body(status="resolved", endsAt="2030-01-02T03:14:05Z"))
    assert delivery.ends_at is not None


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"alerts": 7},
        {**body(), "alerts": [{}]},
        {**body(), "alerts": ["text"]},
        body(status="pending"),
        body(startsAt="soon"),
        body(labels={"alertname": 7}),
        body(labels={"alertname": "a\x00b"}),
        body(annotations=json.loads('{"summary": "\\ud800"}')),
        body(fingerprint=None),
    ],
)
def test_what_is_no_notification_is_refused_in_one_line(broken: dict[str, Any]) -> None:
    with pytest.raises(CheckFailed, match=r"^not a notification of Alertmanager: [^\n]*$"):
        deliveries.parse(broken)


def record(database: OpsDatabase, *bodies: dict[str, Any]) -> list[int]:
    recorded = []
    for one in bodies:
        with postgres.session(database.url("ops_agent")) as connection:
            recorded.append(deliveries.record(connection, deliveries.parse(one)))
    return recorded


@pytest.mark.services
def test_a_retry_is_recorded_once_and_a_change_again(ops_database: OpsDatabase) -> None:
    firing, resolved = body(), body(status="resolved", endsAt="2030-01-02T03:14:05Z")
    elsewhere = {**body(), "receiver": "watchdog"}
    assert record(ops_database, firing, firing, resolved, resolved, elsewhere) == [1, 0, 1, 0, 1]
    later = body(startsAt="2030-01-02T04:00:00Z")
    assert record(ops_database, later) == [1]


@pytest.mark.services
def test_a_repeat_after_the_retry_window_is_proof_that_the_pipe_works(ops_database: OpsDatabase) -> None:
    assert record(ops_database, body()) == [1]
    with ops_database.superuser() as superuser:
        superuser.execute("UPDATE alert_deliveries SET received_at = received_at - interval '31 seconds'")
    assert record(ops_database, body()) == [1]


@pytest.mark.services
def test_the_same_notification_twice_at_once_is_recorded_once(ops_database: OpsDatabase) -> None:
    with ThreadPoolExecutor(8) as pool:
        counts = pool.map(lambda _: record(ops_database, body()), range(8))
    assert sum(sum(count) for count in counts) == 1


@pytest.mark.services
def test_what_the_metrics_say_of_deliveries(ops_database: OpsDatabase) -> None:
    watchdog = body(labels={"alertname": "Watchdog", "severity": "warning"}, fingerprint="f")
    record(ops_database, body(), body(status="resolved"), watchdog)
    with postgres.session(ops_database.url("ops_agent")) as connection:
        known = SystemMetrics(60, 60, 60)
        known.read(connection)
    found = known.deliveries.get()
    assert found is not None
    assert found.counts == {("critical", "firing"): 1, ("critical", "resolved"): 1}
    assert found.watchdog_at is not None
