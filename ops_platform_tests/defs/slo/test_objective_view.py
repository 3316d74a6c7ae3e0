"""What the UI shows of one objective, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import dagster as dg
import pytest

from ops_platform.clients.prometheus import Prometheus
from ops_platform.defs.slo import budget_view, objective_view
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import Selector
from ops_platform.slo.reporting import burn_down, figure_causes, figures
from ops_platform.slo.reporting.burn_down import Remaining, drawn
from ops_platform_tests.slo.stored import SIGNATURES

AT = datetime(2026, 1, 31, tzinfo=UTC)


def test_a_budget_is_drawn_and_what_is_unknown_is_never_a_block() -> None:
    left = (Decimal(100), Decimal("99.99"), Decimal(50), Decimal("0.01"), Decimal(0), Decimal(-400), None)
    assert drawn([Remaining(AT, least, Decimal(100), None) for least in left]) == "██▅▁✗✗?"


def test_percentages_have_sense_and_round_down() -> None:
    assert budget_view.percent(Fraction(9995, 10000) + Fraction(1, 10**9)).value == 99.95
    assert budget_view.percent(1 - Fraction(1, 10**9)).value == 99.999
    assert budget_view.percent(Fraction(-1, 3), 1).value == -33.4


def test_each_objective_has_a_check_of_its_own_name() -> None:
    others = [replace(SIGNATURES, service="a", name="b-c"), replace(SIGNATURES, service="a-b", name="c")]
    names = objective_view.check_names([SIGNATURES, *others])
    assert len(names) == 3
    assert all(name.replace("_", "").isalnum() for name in names)
    assert names["objective_webhooks_signatures"] is SIGNATURES
    [checks] = objective_view.objective_checks([SIGNATURES, *others])
    assert {key.name for key in checks.check_keys} == set(names)
    assert objective_view.objective_checks([]) == []


def test_a_figure_of_another_version_is_no_figure_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = {
        "slo_window": str(SIGNATURES.period), "freshness": "current", "measured_at": AT, "verdict": "met",
        "version": replace(SIGNATURES, target=Fraction(99, 100)).version,
    }  # fmt: skip
    monkeypatch.setattr(figures, "latest_with_freshness", lambda *_: [newest])
    checked = objective_view._checked(Any, "objective_x", SIGNATURES, None)  # type: ignore[arg-type]
    assert not checked.passed
    assert "no figure yet" in (checked.description or "")


def test_links_lead_to_the_server_of_the_objective_or_nowhere() -> None:
    other = Prometheus("https://eu.example:9090")
    source = Prometheus("http://127.0.0.1:9090", named={"eu": other})
    for name, url in ((None, source.url), ("eu", other.url), ("us", None)):
        indicator = replace(SIGNATURES.indicator, source=name)
        assert budget_view.server_url(source, replace(SIGNATURES, indicator=indicator)) == url
    assert budget_view.server_url(None, SIGNATURES) is None
    source.close()


def test_deployments_are_looked_for_at_the_targets_of_the_objective() -> None:
    selector = Selector.parse('x_total{job="api",code="500"}')
    assert budget_view.process_starts(selector) == 'process_start_time_seconds{job="api"}'
    assert budget_view.process_starts(Selector.parse("x_total")) == "process_start_time_seconds"


def test_an_exclusion_is_shown_by_the_number_that_the_console_shows() -> None:
    shown = budget_view.left_out(
        [
            {
                "id": 7,
                "service": "api",
                "slo": None,
                "starts_at": AT,
                "ends_at": AT,
                "reason": "announced | upgrade",
            }
        ]
    )
    assert "| 7 | api | 2026-01-31 00:00 | 2026-01-31 00:00 | announced \\| upgrade |" in shown
    assert budget_view.left_out([]) == "nothing"


def test_the_worst_hours_say_what_they_burned_and_whether_that_was_maintenance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hour = {
        "window_start": AT, "total": 1000, "bad": 20, "bad_least": None, "bad_most": None, "resets": 1,
        "reason": None, "period_total": 100_000,
    }  # fmt: skip
    lost = hour | {"bad": None, "bad_least": 0, "bad_most": None, "reason": "no scrapes", "total": None}
    excluded = {"id": 7, "starts_at": AT, "ends_at": AT + HOUR, "reason": "upgrade"}
    one = replace(SIGNATURES, target=Fraction(99, 100))
    monkeypatch.setattr(figure_causes, "worst_hours", lambda *_: [hour, lost])
    monkeypatch.setattr(figure_causes, "maintenance", lambda *_: [excluded])
    hours = budget_view.worst_hours(Any, [one], AT)  # type: ignore[arg-type]
    shown = budget_view.hours_table(hours)
    assert isinstance(shown, dg.TableMetadataValue)
    unbounded, counted = (record.data for record in shown.records)
    assert (counted["bad"], counted["% of the budget"], counted["maintenance"]) == ("20", "2.0", "7: upgrade")
    assert (unbounded["bad"], unbounded["% of the budget"], unbounded["known"]) == (
        "unknown", "unknown", "no scrapes",
    )  # fmt: skip
    source = Prometheus("http://127.0.0.1:9090")
    links = budget_view.hours_links(hours, source)
    source.close()
    assert links.count("(http://127.0.0.1:9090/graph?") == 4
    assert budget_view.hours_links(hours, None) == "none"
    assert budget_view.hours_table([]).value == "no bad events"


def test_what_is_left_stands_beside_what_was_left_before(monkeypatch: pytest.MonkeyPatch) -> None:
    day = timedelta(days=1)
    points = [
        Remaining(AT - day * ago, least, most, "at risk")
        for ago, least, most in (
            (7, Decimal(90), Decimal(90)),
            (1, Decimal("40.25"), Decimal("41.5")),
            (0, Decimal(20), Decimal(20)),
        )
    ]
    monkeypatch.setattr(burn_down, "by_day", lambda *_: points)
    one = replace(SIGNATURES, target=Fraction(99, 100))
    told = budget_view.burn_downs(Any, [one, SIGNATURES], AT)  # type: ignore[arg-type]
    assert "| at risk | 20.0 | 40.2 to 41.5 | 90.0 | █▄▂ |" in told
    assert "| no budget |" in told
    monkeypatch.setattr(burn_down, "by_day", lambda *_: points[:-1])
    assert "| no figure | - | 40.2 to 41.5 |" in budget_view.burn_downs(Any, [one], AT)  # type: ignore[arg-type]
