"""Every metric that a rule names is really there: scraped from the running stack's own parts."""

from __future__ import annotations

import contextlib
import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops_platform.clients.prometheus import Prometheus
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable
from ops_platform.local.components import PORT_NAMES
from ops_platform_tests.dashboards.test_prometheus_rules import DOCS, alerts, every_rule, recorded
from ops_platform_tests.prometheus import metric_names
from ops_platform_tests.running_stack import RunningStack

SEEN_IN_TEST_AGENT = frozenset(
    {
        "backup_running_since_timestamp_seconds",
        "audit_oldest_unsealed_timestamp_seconds",
        "audit_verification_findings",
        "audit_verified_in_full_timestamp_seconds",
        "audit_verified_timestamp_seconds",
        "backup_damaged_segments",
        "backup_verification_due_timestamp_seconds",
        "gdpr_retention_looked_timestamp_seconds",
        "gdpr_retention_overdue_rows",
    }
)
"""There while a backup runs or an event waits, after the first reading or verification, or where the
data map has terms: test_agent sees to all."""
SEEN_WHERE_CONFIGURED = frozenset(
    {"backup_place_own", "synthetic_probes_missed_total", "synthetic_probes_total"}
)
"""Of a second repository and of probes, which the stack has not: agent/loops/test_place_watch and
agent/probes/test_endpoints see to them."""
SEEN_AFTER_AN_EXERCISE = frozenset(
    {
        "dr_exercise_last_failed",
        "dr_exercise_last_success_timestamp_seconds",
        "dr_predicted_rto_seconds",
    }
)
"""e2e/test_exercises sees to these."""
SEEN_WHILE_RUNS_FAIL_OR_WAIT = frozenset(
    {
        "dagster_job_failures",
        "dagster_oldest_waiting_run_timestamp_seconds",
        "job:dagster_job_failures:last_known",
    }
)
"""e2e/test_backups sees a failed run reach Alertmanager, agent/probes/test_dagster_health reads a queue."""
FIRST_SECONDS = 450
"""Until a new Prometheus has evaluated each group: one every five minutes, then those that read it."""
MADE_BY_PROMETHEUS = frozenset({"up"})
_FUNCTIONS_AND_WORDS = frozenset(
    {
        "time",
        "absent",
        "vector",
        "rate",
        "increase",
        "clamp_min",
        "last_over_time",
        "min_over_time",
        "sum_over_time",
        "max_over_time",
        "abs",
        "label_join",
        "max",
        "sum",
        "and",
        "or",
        "unless",
    }
)


def metrics_in(expression: str) -> set[str]:
    """The metric names of a PromQL expression."""
    text = re.sub(
        r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\boffset\s+\w+|\b(by|on|ignoring|without)\s*\([^)]*\)', " ", expression
    )
    return set(re.findall(r"[A-Za-z_:][A-Za-z0-9_:]*", text)) - _FUNCTIONS_AND_WORDS


def test_names_are_found_in_expressions() -> None:
    expression = (
        'time() - max by (stanza) (last_success{kind=~"full|x"}) > on (stanza) limit{kind="y"} / 3 '
        "unless on (stanza) (increase(runs_total[5m]) > 0)"
    )
    assert metrics_in(expression) == {"last_success", "limit", "runs_total"}


def named_in_rules() -> set[str]:
    return set().union(*(metrics_in(rule["expr"]) for rule in every_rule()))


def scraped(url: str) -> set[str]:
    text = httpx.get(url, timeout=10).raise_for_status().text
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


@pytest.mark.services
@pytest.mark.timeout(FIRST_SECONDS + 150)
def test_every_metric_of_a_rule_is_in_a_live_scrape(stack: RunningStack) -> None:
    settings = stack.settings
    urls = [
        settings.metrics_url,
        *(
            f"http://127.0.0.1:{stack.base + PORT_NAMES.index(name)}/metrics"
            for name in ("traffic", "api-metrics")
        ),
        *(f"{url}/metrics" for url in (settings.prometheus_url, settings.alertmanager_url)),
    ]
    client = Prometheus(settings.require("prometheus_url"))

    def missing() -> set[str]:
        found = set().union(*(scraped(url) for url in urls if url))
        # What rules record is in Prometheus alone.
        found |= recorded() & metric_names(client)
        elsewhere = SEEN_IN_TEST_AGENT | SEEN_WHERE_CONFIGURED | SEEN_AFTER_AN_EXERCISE
        elsewhere |= SEEN_WHILE_RUNS_FAIL_OR_WAIT
        return named_in_rules() - found - elsewhere - MADE_BY_PROMETHEUS

    # Prometheus drops what fires before it has found Alertmanager, the Watchdog too, and sends it
    # again after a minute. The windows above three days have their first record within five minutes.
    try:
        with contextlib.suppress(Unavailable):
            wait_until(lambda: not missing(), FIRST_SECONDS, "every metric that a rule names", interval=1)
        assert missing() == set()
    finally:
        client.close()


@pytest.mark.services
@pytest.mark.timeout(FIRST_SECONDS + 150)
def test_prometheus_has_loaded_every_rule_and_scrapes_every_target(stack: RunningStack) -> None:
    client = Prometheus(stack.settings.require("prometheus_url"))
    try:
        assert client.ready()
        loaded = client.rules()
        assert {rule.name for rule in loaded if rule.kind == "alerting"} == {
            rule["alert"] for rule in alerts()
        }
        wait_until(
            lambda: all(rule.health == "ok" for rule in client.rules()),
            FIRST_SECONDS,
            "rules are evaluated",
            interval=1,
        )
        wait_until(
            lambda: all(target.health == "up" for target in client.targets()),
            60,
            "targets are up",
            interval=1,
        )
        assert {target.job for target in client.targets()} == {
            "prometheus",
            "alertmanager",
            "agent",
            "api",
            "product",
            "object-store",
        }
        assert "Watchdog" in {
            alert.labels["alertname"] for alert in client.alerts() if alert.state == "firing"
        }
        (known,) = client.query('backup_rpo_target_seconds{stanza="product"}').series
        assert known.value == 900
        answer = client.query('up{job="agent"}[5m]')
        assert answer.warnings == ()
        assert all(value == 1 for _, value in answer.series[0].samples[-1:])
        assert "backup_rpo_seconds" in metric_names(client) or "backup_rpo_known" in metric_names(client)
    finally:
        client.close()


@pytest.mark.services
def test_runbooks_name_services_that_run(stack: RunningStack) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "docs" / "runbooks").glob("*.md"))
    named = {name.replace("S-", "product-") for name in re.findall(r"`ops-platform logs ([A-Za-z-]+)", text)}
    assert named - {"JOB"} <= set(stack.status())
