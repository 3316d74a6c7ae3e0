"""The ledger against the rules, and what must be there: agreement passes, anything else does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.prometheus import Prometheus, Rule
from ops_platform.clients.waiting import wait_until
from ops_platform.defs.slo import checks
from ops_platform.errors import Unavailable
from ops_platform.slo.counting.event_count import HOUR
from ops_platform.slo.objectives import openslo
from ops_platform.slo.objectives import prometheus_rules as rules
from ops_platform.slo.objectives.model import Objective, Period, Slicing
from ops_platform.slo.reporting import completeness as presence
from ops_platform.slo.reporting import refresh as keeping
from ops_platform.slo.reporting import rule_reconciliation as reconciliation
from ops_platform.slo.reporting.rule_reconciliation import Ruled, Sums
from ops_platform_tests.services import OpsDatabase
from ops_platform_tests.slo.recorded import prometheus_with, publishing

EVERY = openslo.load_directory(files.default_config_dir() / "objectives")
[SUCCESS] = [one for one in EVERY if one.id == "publishing-success"]
[LATENCY] = [one for one in EVERY if one.id == "publishing-latency"]
[SIGNATURES] = [one for one in EVERY if one.id == "webhooks-signatures"]


WHOLE = 30 * 24


def sums(good: int, total: int, hours: int = WHOLE) -> Sums:
    return Sums(good, total, hours, (total, total - good), (total, total - good))


@pytest.mark.parametrize(
    ("objective", "found", "ruled"),
    [
        (SUCCESS, sums(98_000, 100_000), 0.0205),
        (SUCCESS, sums(100_000, 100_000), 0.0005),
        (SUCCESS, sums(0, 0), None),
        (SIGNATURES, sums(100_000, 100_000), 0.0),
        (SIGNATURES, sums(99_000, 100_000), 0.0109),
    ],
)
def test_within_the_tolerance_they_agree(objective: Objective, found: Sums, ruled: float | None) -> None:
    assert reconciliation.judge(objective, found, Ruled(ruled, ruled, WHOLE, WHOLE)).fault is None
    # Nine tenths of the period on both sides are enough.
    nearly = WHOLE * 9 // 10
    judged = reconciliation.judge(
        objective, replace(found, hours=nearly), Ruled(ruled, ruled, nearly, nearly)
    )
    assert (judged.fault, judged.recorded) == (None, ruled)


@pytest.mark.parametrize(
    ("objective", "found", "ruled", "word"),
    [
        (SUCCESS, sums(98_000, 100_000), 0.023, "apart"),
        (SUCCESS, sums(100_000, 100_000), 0.002, "apart"),
        (SIGNATURES, sums(100_000, 100_000), 0.001, "apart"),
        (SUCCESS, sums(98_000, 100_000), None, "has none by rate"),
        (SUCCESS, sums(0, 0), 0.02, "has some by rate"),
        (SUCCESS, sums(0, 0, hours=0), None, "0 of the 720 hours"),
        (SUCCESS, sums(98_000, 100_000, hours=647), 0.02, "647 of the 720 hours"),
        (SUCCESS, sums(98_000, 100_000), "the rule fails", "the rule fails"),
        (SUCCESS, replace(sums(98_000, 100_000), ledger=(100_000, 1_999)), 0.02, "1999 are bad"),
    ],
)
def test_what_disagrees_or_is_unknown_does_not_pass(
    objective: Objective, found: Sums, ruled: float | str | None, word: str
) -> None:
    asked = Ruled(fault=ruled) if isinstance(ruled, str) else Ruled(ruled, ruled, WHOLE, WHOLE)
    fault = reconciliation.judge(objective, found, asked).fault
    assert fault is not None
    assert word in fault


def test_what_prometheus_holds_too_little_of_does_not_pass() -> None:
    fault = reconciliation.judge(SUCCESS, sums(98_000, 100_000), Ruled(0.02, 0.02, 647, WHOLE)).fault
    assert fault == "Prometheus has samples of only 647 of the 720 hours of the period (90% must be)"


def test_what_the_rules_recorded_must_agree_and_where_it_is_too_little_that_is_said() -> None:
    counted = sums(98_000, 100_000)
    for recorded, word in ((0.03, "3.000000% as the rule recorded"), (None, "has none as the rule recorded")):
        fault = reconciliation.judge(SUCCESS, counted, Ruled(0.02, recorded, WHOLE, WHOLE)).fault
        assert word in (fault or "")
    young = reconciliation.judge(SUCCESS, counted, Ruled(0.02, 0.5, WHOLE, 647))
    assert young.fault is None
    assert "records of only 647 of the 720" in str(young.recorded)


def test_gauges_and_slices_are_not_said_to_agree_with_their_rules_which_must_be_loaded() -> None:
    sliced = replace(SUCCESS, indicator=replace(SUCCESS.indicator, slicing=Slicing(60, Fraction(9, 10))))
    away = Prometheus("http://127.0.0.1:9")
    loaded = [
        Rule("any", rule["record"], "recording", rule["expr"], "ok", "", rule["labels"])
        for group in rules.render([sliced])["groups"]
        for rule in group["rules"]
        if "record" in rule
    ]
    # Nothing but the rules is asked for.
    judged = reconciliation.judge(sliced, sums(9, 10), reconciliation.ask(away, loaded, sliced, END))
    assert judged.fault is None
    assert "not compared" in str(judged.by_rate)
    assert "not compared" in str(judged.recorded)
    assert "the ledger equals the counts of 1 objectives; 0 of them agree" in checks._agreed([judged])
    assert "not compared" in checks._table([judged])
    short = "slo:sli_error:ratio_rate5m"
    for wrong, word in (
        ([], "0 rules"),
        ([rule for rule in loaded if rule.name != short], f"0 rules {short}"),
        (
            [replace(rule, query="vector(0)") if rule.name == short else rule for rule in loaded],
            "another rule",
        ),
    ):
        fault = reconciliation.judge(sliced, sums(9, 10), reconciliation.ask(away, wrong, sliced, END)).fault
        assert word in (fault or "")


HOURS = 24
START = (datetime.now(UTC) - timedelta(hours=HOURS + 2)).replace(minute=0, second=0, microsecond=0)
END = START + HOUR * HOURS
DAILY = replace(SUCCESS, period=Period("rolling", 1))
OURS = [DAILY, replace(SIGNATURES, period=Period("rolling", 1))]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    recorded = dict(publishing(START, END))
    for place, spelling in (("a:1", "10.0"), ("b:1", "30.0")):
        samples = recorded['up{instance="a:1",job="product"}']
        label = f'instance="{place}",job="product"'
        recorded[f"product_publishing_duration_seconds_count{{{label}}}"] = samples
        recorded[f'product_publishing_duration_seconds_bucket{{le="{spelling}",{label}}}'] = samples
    directory = tmp_path_factory.mktemp("reconciled")
    with prometheus_with(recorded, directory, rules.text(OURS)) as client:
        yield client


@pytest.mark.services
def test_the_counts_agree_with_the_rules_that_prometheus_has_loaded(
    ops_database: OpsDatabase, prometheus: Prometheus
) -> None:
    url = ops_database.url("ops_worker")
    keeping.count_hours(url, prometheus, OURS, START, END, "run", datetime.now(UTC))
    keeping.enter_ledger(url, OURS, START, END, "run")
    wait_until(lambda: len(prometheus.rules()) > 0, 30, "rules are loaded")
    with postgres.session(url) as ops:
        assert presence.counted_until(ops, OURS) == END
        assert presence.counted_until(ops, [*OURS, LATENCY]) is None
        compared = reconciliation.compare(ops, prometheus, OURS, END)
        assert [one.fault for one in compared] == [None, None]
        for one in compared:
            assert one.exact is not None
            assert isinstance(one.by_rate, float)
            assert abs(float(one.exact) - one.by_rate) < 0.002
            assert "records of only 0 of the 24 hours" in str(one.recorded)
            assert one.exact > 0
        # Half of the period: neither is what was counted enough, nor what Prometheus has.
        [half] = reconciliation.compare(ops, prometheus, [DAILY], END - HOUR * 12)
        assert "12 of the 24 hours" in (half.fault or "")
        loaded = prometheus.rules()
        for at, number in ((END - HOUR * 12, (12, 13)), (END, (24,)), (END - timedelta(days=9), (0,))):
            assert reconciliation.ask(prometheus, loaded, DAILY, at).hours_with_samples in number
        # Where one is missing, its number is not taken for granted.
        [stranger] = reconciliation.compare(ops, prometheus, [LATENCY], END)
        assert stranger.fault is not None
        # The ledger lags: what the counts say is not what was debited.
        ops.execute(
            "UPDATE slo_window_counts SET adjusted_good = adjusted_good - 1 WHERE window_start = %s", (START,)
        )
        assert all(
            "ledger" in (one.fault or "") for one in reconciliation.compare(ops, prometheus, OURS, END)
        )
        ops.rollback()


@pytest.mark.services
def test_no_rules_no_agreement(ops_database: OpsDatabase, prometheus: Prometheus) -> None:
    url = ops_database.url("ops_worker")
    keeping.count_hours(url, prometheus, [DAILY], START, END, "run", datetime.now(UTC))
    other = replace(DAILY, name="other")
    with postgres.session(url) as ops:
        # The same counters under another name, which no rule has.
        ops.execute("UPDATE slo_window_counts SET slo = 'other'")
        ops.commit()
    keeping.enter_ledger(url, [other], START, END, "run")
    with postgres.session(url) as ops:
        [found] = reconciliation.compare(ops, prometheus, [other], END)
    assert "0 rules" in (found.fault or "")
    away = Prometheus("http://127.0.0.1:9")
    with postgres.session(url) as ops, pytest.raises(Unavailable):
        reconciliation.compare(ops, away, [SUCCESS], END)


@pytest.mark.services
def test_the_newest_hour_due_must_be_counted(ops_database: OpsDatabase, prometheus: Prometheus) -> None:
    url = ops_database.url("ops_worker")
    keeping.count_hours(url, prometheus, [SUCCESS], START, END, "run", datetime.now(UTC))
    with postgres.session(url) as ops:
        assert presence.missing_newest_hour(ops, [SUCCESS], END + timedelta(minutes=89)) == []
        assert presence.missing_newest_hour(ops, [SUCCESS], END + timedelta(minutes=90)) == [SUCCESS.id]
        assert presence.missing_newest_hour(ops, [SUCCESS, SIGNATURES], END) == [SIGNATURES.id]


@pytest.mark.services
def test_an_instance_without_the_bucket_is_named(prometheus: Prometheus) -> None:
    assert presence.missing_buckets(prometheus, OURS, END) == []
    assert presence.missing_buckets(prometheus, [LATENCY], END) == [
        "publishing-latency: product b:1 has no bucket le=10"
    ]
    [nothing] = presence.missing_buckets(prometheus, [LATENCY], END - timedelta(days=9))
    assert "no instance" in nothing
