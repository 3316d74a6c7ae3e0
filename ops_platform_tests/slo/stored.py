"""What a test asks of the stored counts, and a Prometheus during whose answer something else happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import exclusions
from ops_platform.slo.counting.exclusions import Exclusion
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives.model import Objective
from ops_platform.slo.reporting import slo_store as records
from ops_platform.slo.reporting.derivation import Span
from ops_platform_tests.services import OpsDatabase

[SIGNATURES] = [
    one
    for one in openslo.load_directory(files.default_config_dir() / "objectives")
    if one.name == "signatures"
]


def rows(database: OpsDatabase, query: str, *values: object) -> list[dict[str, Any]]:
    with postgres.session(database.url("ops_worker")) as ops:
        return ops.execute(query, values).fetchall()


def hours(database: OpsDatabase) -> list[dict[str, Any]]:
    return rows(
        database, "SELECT * FROM slo_window_counts WHERE window_seconds = 3600 ORDER BY window_start, slo"
    )


def late_hours(ops_url: str, objectives: Sequence[Objective], start: datetime) -> list[Span]:
    """Spans of the hours before ``start`` that must be counted again, or were never counted."""
    with postgres.session(ops_url) as ops:
        return records.spans(records.unsettled(ops, objectives, start))


def exclude(
    database: OpsDatabase, since: datetime, until: datetime, objective: Objective = SIGNATURES
) -> int:
    with postgres.session(database.url("ops_worker")) as ops:
        return exclusions.add(
            ops, Exclusion(objective.service, objective.name, since, until), "maintenance", "me"
        )


def withdraw(database: OpsDatabase, number: int) -> None:
    with postgres.session(database.url("ops_worker")) as ops:
        exclusions.withdraw(ops, number, "me")


def not_applied(database: OpsDatabase) -> list[list[datetime]]:
    with postgres.session(database.url("ops_worker")) as ops:
        return [row["not_applied"] for row in exclusions.history(ops)]


class Interrupted(Prometheus):
    """Before its first answer ``then`` happens."""

    def __init__(self, url: str, then: Callable[[], object]) -> None:
        super().__init__(url)
        self._then: Callable[[], object] | None = then

    def query(self, *arguments: Any, **named: Any) -> Any:
        then, self._then = self._then, None
        if then is not None:
            then()
        return super().query(*arguments, **named)
