"""Every query of every dashboard, asked of a real Prometheus, answers what was put into the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ops_platform import files
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives import prometheus_rules as rules
from ops_platform_tests.dashboards import objective_answers, objective_figures, recovery_answers
from ops_platform_tests.dashboards.grafana import DASHBOARDS, Ask, Choice, choices, every_ask, filled
from ops_platform_tests.dashboards.objective_figures import CHOSEN
from ops_platform_tests.dashboards.recovery_answers import Answer
from ops_platform_tests.dashboards.scraped import Scraped, scraped

SHOWN_SECONDS = 60.0
"""The time that is shown, and over which rates are taken."""
SELECTED = {
    "service": "(" + "|".join(one.service for one in CHOSEN) + ")",
    "slo": "(" + "|".join(one.slo for one in CHOSEN) + ")",
    "stanza": "(product|ops)",
    "request_type": "(erasure|export)",
}
"""As Grafana fills in several values of a variable."""
EDGES = 0.25
"""The share that rate() and increase() may add at the edges of what was scraped."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    with scraped(tmp_path_factory.mktemp("scraped")) as prometheus:
        yield prometheus


def expected(scene: Scraped) -> dict[tuple[str, str], Answer]:
    passed = scene.after.timestamp() - scene.start
    return {
        (dashboard, where): answer
        for dashboard, answers in (
            ("slo", objective_answers.answers(passed)),
            ("backup-and-dr", recovery_answers.recovery(passed, SHOWN_SECONDS)),
            ("gdpr", recovery_answers.gdpr(passed)),
        )
        for where, answer in answers.items()
    }


def answered(scene: Scraped, expr: str) -> Answer:
    shown = f"{SHOWN_SECONDS:.0f}s"
    values = {
        **SELECTED,
        "__interval": scene.between,
        "__range": shown,
        "__rate_interval": shown,
    }
    answer = scene.prometheus.query(filled(expr, values), at=scene.after)
    assert answer.warnings == ()
    return {frozenset(series.labels.items()): series.value for series in answer.series}


def tolerance(ask: Ask) -> dict[str, Any]:
    if "backup_rpo_seconds" in ask.expr or "gdpr_oldest_pending_seconds" in ask.expr:
        return {"abs": 2.0}  # The agent's own clock, at the moment of its scrape.
    if "rate(" in ask.expr:
        return {"rel": EDGES}
    return {"rel": 1e-6, "abs": 0.002}


@pytest.mark.services
def test_there_is_an_answer_to_each_query_and_no_other(seen: Scraped) -> None:
    assert sorted(expected(seen)) == sorted(ask.key for ask in every_ask())


@pytest.mark.services
@pytest.mark.parametrize("ask", every_ask(), ids=lambda ask: f"{ask.dashboard}: {ask.where}")
def test_the_answer_is_what_was_put_in(seen: Scraped, ask: Ask) -> None:
    wanted = expected(seen)[ask.key]
    assert wanted, "an empty answer proves nothing"
    assert answered(seen, ask.expr) == pytest.approx(dict(wanted), **tolerance(ask))


@pytest.mark.services
def test_a_hair_less_than_everything_is_not_everything(seen: Scraped) -> None:
    """30 million events and one of them bad: 99.9999967 %, shown with three decimals."""
    [ask] = [one for one in every_ask() if one.where == "Achieved by window/A"]
    found = answered(seen, ask.expr)
    assert (
        f"{found[frozenset({**objective_figures.WEBHOOKS.labels, 'window': 'month'}.items())]:.3f}"
        == "99.999"
    )


VALUES = {
    "service": {"api", "media", "webhooks", "quiet", "publishing"},
    # Those of the chosen services.
    "slo": {"availability", "transcoding", "signatures", "latency"},
    "stanza": {"product", "ops", "other"},
    "request_type": {"erasure", "export", "other"},
}


@pytest.mark.services
@pytest.mark.parametrize(
    "choice", [one for name in DASHBOARDS for one in choices(name)], ids=lambda one: one.variable
)
def test_variables_offer_what_there_is(seen: Scraped, choice: Choice) -> None:
    answer = httpx.get(
        f"{seen.prometheus.url}/api/v1/label/{choice.label}/values",
        params={"match[]": filled(choice.selector, SELECTED)},
        timeout=10,
    )
    assert set(answer.raise_for_status().json()["data"]) == VALUES[choice.variable]


def test_what_stands_in_for_the_rules_looks_like_them() -> None:
    """Names and label names; windows that only another period has are not among the default ones."""
    objectives = openslo.load_directory(files.default_config_dir() / "objectives")
    real = {
        (rule["record"], frozenset(rule["labels"]))
        for group in rules.render(objectives)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    served = {
        (one.name, frozenset(one.labels))
        for invented in CHOSEN
        if invented.days == 30
        for one in objective_figures.recorded(invented)
    }
    assert served == real
