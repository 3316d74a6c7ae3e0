"""Alert receiver: parses Alertmanager's webhook body and records it in ``alert_deliveries``.

Every notification counts, repeats too; only a retry of one that was recorded already (its answer
got lost) is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.types.json import Jsonb

from ops_platform.clients.postgres import Connection, lock_key
from ops_platform.errors import CheckFailed
from ops_platform.slo.objectives import burning_objective
from ops_platform.slo.reporting import figures

RETRY_SECONDS = 30
"""Alertmanager repeats nothing within its group_interval (a minute): what comes sooner is a retry."""

_INSERT = """
    INSERT INTO alert_deliveries (status, alertname, fingerprint, severity, service, slo, receiver, group_key,
                                  starts_at, ends_at, labels, annotations)
    SELECT %(status)s, %(alertname)s, %(fingerprint)s, %(severity)s, %(service)s, %(slo)s, %(receiver)s,
           %(group_key)s, %(starts_at)s, %(ends_at)s, %(labels)s, %(annotations)s
    WHERE NOT EXISTS (
        SELECT FROM alert_deliveries
        WHERE received_at > clock_timestamp() - make_interval(secs => %(retry)s)
          AND fingerprint = %(fingerprint)s AND status = %(status)s
          AND receiver = %(receiver)s AND starts_at = %(starts_at)s
    )
"""


@dataclass(frozen=True)
class Delivery:
    """One alert of one notification. ``ends_at`` is None while it fires."""

    status: str
    fingerprint: str
    receiver: str
    group_key: str
    starts_at: datetime
    ends_at: datetime | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def parse(body: Mapping[str, Any]) -> list[Delivery]:
    """Read the alerts of a webhook body (version 4). Raises CheckFailed when ``body`` is not one."""
    try:
        return [
            Delivery(
                status=_one_of(alert["status"], ("firing", "resolved")),
                fingerprint=_text(alert["fingerprint"]),
                receiver=_text(body["receiver"]),
                group_key=_text(body["groupKey"]),
                starts_at=_moment(alert["startsAt"]),
                ends_at=_moment(alert["endsAt"]) if alert["status"] == "resolved" else None,
                labels=_texts(alert["labels"]),
                annotations=_texts(alert["annotations"]),
            )
            for alert in body["alerts"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = (
            f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else "a field has the wrong type"
        )
        raise CheckFailed(
            f"not a notification of Alertmanager: {reason}; send its webhook version 4"
        ) from None


def record(connection: Connection, deliveries: list[Delivery]) -> int:
    """Insert the alerts that are not retries, in the caller's transaction; return their number.

    Marks the objectives whose alerts fire.
    """
    if not deliveries:
        return 0
    # Two deliveries at once of the same notification would not see each other's rows.
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key("alert_deliveries"),))
    new = sum(connection.execute(_INSERT, _row(delivery)).rowcount for delivery in deliveries)
    for service, slo in sorted(_objectives_of(deliveries)):
        figures.mark_fired(connection, service, slo)
    return new


def _objectives_of(deliveries: list[Delivery]) -> set[tuple[str, str]]:
    """List (service, SLO) of the objectives whose error budget burns."""
    burning = [burning_objective(delivery.labels) for delivery in deliveries if delivery.status == "firing"]
    return {objective for objective in burning if objective is not None}


def _row(delivery: Delivery) -> dict[str, Any]:
    labels = delivery.labels
    return {
        "status": delivery.status,
        "alertname": labels.get("alertname", ""),
        "fingerprint": delivery.fingerprint,
        "severity": labels.get("severity"),
        "service": labels.get("service"),
        "slo": labels.get("slo"),
        "receiver": delivery.receiver,
        "group_key": delivery.group_key,
        "starts_at": delivery.starts_at,
        "ends_at": delivery.ends_at,
        "labels": Jsonb(dict(labels)),
        "annotations": Jsonb(dict(delivery.annotations)),
        "retry": RETRY_SECONDS,
    }


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _one_of(text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise ValueError(text)
    return text


def _text(value: Any) -> str:
    # PostgreSQL's text holds no NUL, and encode() raises ValueError on an unpaired surrogate.
    if not isinstance(value, str) or b"\x00" in value.encode():
        raise TypeError(type(value).__name__)
    return value


def _texts(value: Any) -> dict[str, str]:
    return {_text(name): _text(text) for name, text in value.items()}
