"""One of several Prometheuses that cannot be asked, or has a wrong name: the others' objectives go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import OpsError, Unavailable
from ops_platform.slo.objectives import Indicator, Objective
from ops_platform.slo.reporting import completeness, refresh, rule_reconciliation, slo_store
from ops_platform.slo.reporting.refresh import StoredCounts
from ops_platform.slo.reporting.rule_reconciliation import Ruled, Sums
from ops_platform_tests.slo.stored import SIGNATURES

START = datetime(2026, 1, 30, tzinfo=UTC)
END = START + timedelta(days=2)
HERE = SIGNATURES
EU, TYPO = (
    replace(SIGNATURES, name=name, indicator=replace(SIGNATURES.indicator, source=name))
    for name in ("eu", "eus")
)
OURS = [EU, HERE, TYPO]


class Nothing:
    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, datetime]]:
    """The objectives and days that are stored; what is of another source than the first cannot be asked."""
    done: list[tuple[str, datetime]] = []

    @contextmanager
    def session(_: str) -> Iterator[Nothing]:
        yield Nothing()

    def count(_: Any, __: Any, objectives: Sequence[Objective], bounds: Any, *___: Any) -> StoredCounts:
        for objective in objectives:
            if objective.indicator.source is not None:
                raise Unavailable(f"{objective.indicator.source} is away")
            done.append((objective.name, bounds[0]))
        return StoredCounts({objective: [] for objective in objectives}, 1)

    monkeypatch.setattr("ops_platform.clients.postgres.session", session)
    monkeypatch.setattr(refresh, "_count", count)
    monkeypatch.setattr(refresh, "_derive", lambda *_: done.append(("derived", END)))
    monkeypatch.setattr(slo_store, "unsettled", lambda *_: [START])
    return done


def test_what_can_be_counted_is_stored_before_the_others_are_told(stored: list[tuple[str, datetime]]) -> None:
    source = Prometheus("http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="eu is away; eus is away"):
        refresh.count_hours("", source, OURS, START, END, "run", END)
    assert stored == [(HERE.name, START), (HERE.name, START + timedelta(days=1)), ("derived", END)]
    stored.clear()
    recount = refresh.recount_late("", source, OURS, START, "run", END)
    assert [fault.partition("UTC: ")[2] for fault in recount.failed] == ["eu is away", "eus is away"]
    assert [list(counted.counts) for counted in recount.stored.values()] == [[HERE]]


def test_checks_name_the_objectives_that_could_not_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    class Source(Prometheus):
        def rules(self) -> list[Any]:
            return []

    source = Source("http://127.0.0.1:9", named={"eu": Prometheus("http://127.0.0.1:9")})
    monkeypatch.setattr(rule_reconciliation, "sums", lambda *_: Sums(9, 10, 720, (10, 1), (10, 1)))
    monkeypatch.setattr(rule_reconciliation, "ask", lambda *_: Ruled(0.1, 0.1, 720, 720))
    compared = rule_reconciliation.compare(Nothing(), source, OURS, END)  # type: ignore[arg-type]
    assert compared[1].fault is None
    assert "could not be compared" in (compared[0].fault or "")
    assert "eus" in (compared[2].fault or "")
    with pytest.raises(OpsError):
        rule_reconciliation.compare(Nothing(), source, [EU, TYPO], END)  # type: ignore[arg-type]
    assert isinstance(EU.indicator, Indicator)
    indicator = replace(EU.indicator, total=replace(EU.indicator.total, bound=1.0))
    [fault] = completeness.missing_buckets(source, [replace(EU, indicator=indicator), HERE], END)
    assert "could not be looked at" in fault
