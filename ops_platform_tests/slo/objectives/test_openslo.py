"""Documents are read exactly, or refused with file, line and reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import promql_parser
import pytest
from click.testing import CliRunner

from ops_platform import files
from ops_platform.cli import cli
from ops_platform.errors import ConfigurationError
from ops_platform.slo.objectives import openslo, prometheus_rules, promql
from ops_platform.slo.objectives.model import Objective, Period
from ops_platform.slo.objectives.selector import Selector, spellings

GOOD = """apiVersion: openslo/v1
kind: SLO
metadata:
  name: availability
spec:
  service: api
  indicator:
    spec:
      ratioMetric:
        counter: true
        bad:
          metricSource:
            spec:
              query: responses_total{code=~"5.."}
        total:
          metricSource:
            spec:
              query: responses_total
  timeWindow:
    - duration: 30d
      isRolling: true
  budgetingMethod: Occurrences
  objectives:
    - target: 0.999
"""
A = "{metricSource: {spec: {query: a_total}}}"
RATIO = GOOD[GOOD.index("      ratioMetric") : GOOD.index("  timeWindow")]


def load(tmp_path: Path, *texts: str) -> list[Objective]:
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
    return openslo.load_directory(tmp_path)


def test_a_target_is_what_was_written(tmp_path: Path) -> None:
    [one] = load(tmp_path, GOOD)
    assert one.target == Fraction(999, 1000)
    assert str(one.period) == "30d"
    assert one.indicator.good is None
    [percent] = load(tmp_path, GOOD.replace("target: 0.999", "targetPercent: 99.95"))
    assert percent.target == Fraction(9995, 10000)
    assert percent.indicator.version == one.indicator.version
    assert percent.version != one.version


def test_the_five_of_the_demo_product() -> None:
    found = openslo.load_directory(files.default_config_dir() / "objectives")
    assert {one.id: (float(one.target), str(one.period)) for one in found} == {
        "publishing-latency": (0.95, "30d"),
        "publishing-success": (0.99, "30d"),
        "media-transcoding": (0.9, "30d"),
        "api-availability": (0.999, "30d"),
        "webhooks-signatures": (1.0, "30d"),
    }


def test_an_indicator_of_its_own_document(tmp_path: Path) -> None:
    sli = "apiVersion: openslo/v1\nkind: SLI\nmetadata: {name: responses}\nspec:\n" + RATIO.replace(
        "      ", "  ", 1
    ).replace("\n        ", "\n    ")
    slo = GOOD.replace(
        GOOD[GOOD.index("  indicator") : GOOD.index("  timeWindow")], "  indicatorRef: responses\n"
    )
    [one] = load(tmp_path, slo + "---\n" + sli)
    assert str(one.indicator.total) == "responses_total"


def test_a_calendar_month(tmp_path: Path) -> None:
    calendar = """    - duration: 1M
      isRolling: false
      calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}
"""
    [one] = load(tmp_path, GOOD.replace("    - duration: 30d\n      isRolling: true\n", calendar))
    assert one.period.kind == "month"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("openslo/v1", "openslo/v2alpha", 1, "apiVersion must be openslo/v1"),
        ("apiVersion: openslo/v1", "version: prometheus/v1\nslos: []", 1, "slo import"),
        ("kind: SLO", "kind: AlertPolice", 2, "did you mean AlertPolicy?"),
        ("name: availability", "name: Availability!", 4, "is not a name that OpenSLO accepts"),
        ("  service: api\n", "", 5, "service: is missing"),
        ("counter: true", "counter: false", 10, "counter"),
        (
            "        bad:",
            "        good:\n          metricSource: {spec: {query: a_total}}\n        bad:",
            9,
            "exactly one",
        ),
        ("ratioMetric:", "tresholdMetric:", 9, "did you mean thresholdMetric?"),
        ('responses_total{code=~"5.."}', "avg(rate(responses_total[5m]))", 14, "computes something"),
        ('responses_total{code=~"5.."}', "rate(responses_total[5m]) > 1", 14, "computes something"),
        ('responses_total{code=~"5.."}', "sum by (code) (responses_total)", 14, "leave out by"),
        ('responses_total{code=~"5.."}', "sum(a_total) + sum(b_total)", 14, "adds several metrics"),
        ('responses_total{code=~"5.."}', "sum(a_total) - sum(b_total)", 9, "from all of them"),
        ('responses_total{code=~"5.."}', "responses_total offset 5m", 14, "offset"),
        ('responses_total{code=~"5.."}', "responses_total[5m]", 14, "computes something"),
        ('responses_total{code=~"5.."}', "'{__name__=~\"responses.*\"}'", 14, "names no metric"),
        ('responses_total{code=~"5.."}', "responses{", 14, "not PromQL"),
        ('responses_total{code=~"5.."}', "response_seconds_sum", 14, "sum of values"),
        ('responses_total{code=~"5.."}', "response_seconds_bucket", 14, "choose one"),
        ('responses_total{code=~"5.."}', "'response_seconds_bucket{le=~\"1|2\"}'", 14, "exactly one bucket"),
        ("duration: 30d", "duration: 30 days", 20, "not a duration"),
        ("duration: 30d", "duration: 1h", 20, "whole days"),
        ("duration: 30d", "duration: 180d", 20, "at most 90 days"),
        ("isRolling: true", "isRolling: false", 20, "calendar"),
        ("Occurrences", "Timeslices", 24, "needs a timeSliceWindow"),
        ("Occurrences", "Timeslice", 22, "Timeslices"),
        ("target: 0.999", "target: 1", 24, "less than 1"),
        ("target: 0.999", "target: 0", 24, "greater than 0"),
        ("target: 0.999", "target: .nan", 24, "not a plain number"),
        ("target: 0.999", "target: 0.999\n      timeSliceTarget: 0.9", 24, "count events"),
        ("target: 0.999", "target: 0.999\n      targetPercent: 99.9", 24, "exactly one of target"),
        ("spec:\n  service", "spec:\n  surprise: 1\n  service", 6, "is not known here"),
        ("spec:\n  service", "spec:\n  service: twice\n  service", 7, "service is there twice"),
        ("kind: SLO", "kind: [", 4, "not YAML"),
        ("kind: SLO", "kind: &a SLO\n<<: *a", 3, "plain words"),
        (
            "  name: availability",
            '  name: availability\n  annotations: {ops-platform/target: "0.9"}',
            5,
            'only be "1"',
        ),
        (
            "  name: availability",
            "  name: availability\n  annotations: {ops-platform/runbok-url: x}",
            5,
            "did you mean ops-platform/runbook-url?",
        ),
        ("        counter: true\n", "        counter: true\n        godo: 1\n", 11, "did you mean good?"),
        ("            spec:\n", "            type: Datadog\n            spec:\n", 12, "is of Datadog"),
        *(
            (
                "  name: availability",
                f'  name: availability\n  annotations: {{ops-platform/burn-window-scale: "{wrong}"}}',
                5,
                "from 0.2 to 4",
            )
            for wrong in ("0.1", "5", "-1", "half", "1/5", "")
        ),
    ],
)
def test_what_cannot_be_computed_exactly_is_refused(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert str(refused.value).startswith(f"{tmp_path / '0.yaml'}:{line}: "), refused.value
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["", "just text", "- a\n- b", "\x00", "a: " * 5000, "[" * 600],
    ids=["empty", "text", "list", "nul", "deep", "deeper"],
)
def test_what_is_no_document_at_all(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        load(tmp_path, text)


def test_two_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="another objective availability"):
        load(tmp_path, GOOD, GOOD)


def test_two_whose_rules_would_have_one_name(tmp_path: Path) -> None:
    other = GOOD.replace("service: api", "service: api-v2")
    with pytest.raises(ConfigurationError, match="rules would be called api-v2-availability"):
        load(tmp_path, GOOD.replace("name: availability", "name: v2-availability"), other)


def test_a_bound_is_found_however_it_is_written() -> None:
    one = Selector.parse('a_bucket{le="10",job="x"}')
    assert one.bound == 10
    assert one.query == 'a_bucket{job="x",le=~"10|10\\\\.0"}'
    assert str(one) == 'a_bucket{job="x",le="10"}'
    assert spellings(1e6) >= {"1e+06", "1000000", "1000000.0"}
    assert spellings(float("inf")) == {"+Inf"}
    assert spellings(0.25) == {"0.25"}


@pytest.mark.parametrize(
    ("bound", "client", "prometheus", "java"),
    [
        # As Go's strconv.FormatFloat(bound, 'g', -1, 64) and Java's Double.toString write them.
        (0.1234567, "0.1234567", "0.1234567", "0.1234567"),
        (1e7, "1e+07", "1e+07", "1.0E7"),
        (1234567, "1.234567e+06", "1.234567e+06", "1234567.0"),
        (12345678.9, "1.23456789e+07", "1.23456789e+07", "1.23456789E7"),
        (0.0005, "0.0005", "0.0005", "5.0E-4"),
        (0.00001, "1e-05", "1e-05", "1.0E-5"),
        (100, "100", "100.0", "100.0"),
    ],
)
def test_a_bound_loses_no_digit_and_matches_what_is_stored(
    bound: float, client: str, prometheus: str, java: str
) -> None:
    for way in (client, prometheus, java):
        one = Selector.parse(f'a_bucket{{le="{way}"}}')
        assert one.bound == bound
        assert Selector.parse(str(one)) == one
    assert {client, prometheus, java} <= spellings(bound)
    assert {float(way) for way in spellings(bound)} == {bound}


def test_bounds_that_differ_in_the_seventh_digit_are_other_events() -> None:
    one, other = (Selector.parse(f'a_bucket{{le="{bound}"}}') for bound in ("0.1234567", "0.1234568"))
    assert str(one) != str(other)
    assert one.query != other.query
    with pytest.raises(ValueError, match="exactly one bucket"):
        Selector.parse('a_bucket{le="NaN"}')
    assert str(Selector.parse('a_bucket{le="+Inf"}')) == 'a_bucket{le="+Inf"}'


def test_the_command_names_the_line_and_exits_2(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(GOOD.replace("responses_total\n", "avg(responses_total)\n"))
    done = CliRunner().invoke(cli, ["slo", "validate", str(file)], standalone_mode=False)
    assert isinstance(done.exception, ConfigurationError)
    assert f"{file}:18: total: " in str(done.exception)
    file.write_text(GOOD)
    done = CliRunner().invoke(cli, ["slo", "validate", str(file), "--json"])
    assert done.exit_code == 0
    assert '"target": "999/1000"' in done.stdout


def test_a_ratio_is_taken_apart_however_it_is_written(tmp_path: Path) -> None:
    bad, total = 'responses_total{code=~"5.."}', "query: responses_total\n"
    [plain] = load(tmp_path, GOOD)
    for written in (
        "rate({}[5m])",
        "sum(rate({}[{{{{.window}}}}]))",
        "(sum(increase({}[{{{{ .window }}}}])) or vector(0))",
    ):
        text = GOOD.replace(bad, f"'{written.format(bad)}'").replace(
            total, f"query: '{written.format('responses_total')}'\n"
        )
        [one] = load(tmp_path, text)
        assert one.indicator == plain.indicator
    # All but the good ones are bad.
    text = GOOD.replace(bad, "sum(rate(responses_total[5m])) - sum(rate(good_total[5m]))")
    [one] = load(tmp_path, text)
    assert one.indicator.definition == {"good": "good_total", "bad": None, "total": "responses_total"}


RAW = """        rawType: {kind}
        raw: {{metricSource: {{spec: {{query: '{query}'}}}}}}
"""


@pytest.mark.parametrize(
    ("kind", "query", "counted"),
    [
        ("success", "sum(rate(g_total[5m])) / sum(rate(a_total[5m]))", "good"),
        ("failure", "1 - sum(rate(g_total[5m])) / sum(rate(a_total[5m]))", "good"),
        ("failure", "sum(rate(g_total[5m])) / sum(rate(a_total[5m]))", "bad"),
        ("success", "1 - (sum(rate(g_total[5m])) / sum(rate(a_total[5m])))", "bad"),
    ],
)
def test_a_raw_ratio_of_counters_counts_them(tmp_path: Path, kind: str, query: str, counted: str) -> None:
    ratio = GOOD[GOOD.index("        counter: true") : GOOD.index("  timeWindow")]
    [one] = load(tmp_path, GOOD.replace(ratio, RAW.format(kind=kind, query=query)))
    assert one.indicator.definition["total"] == "a_total"
    assert one.indicator.definition[counted] == "g_total"


@pytest.mark.parametrize(
    ("query", "counter", "says"),
    [
        ("sum(g_total) / sum(a_total)", None, None),
        ("sum(rate(g[5m])) / sum(rate(a[5m]))", None, None),
        ("sum(rate(g[{{.window}}])) / sum(rate(a[{{.window}}]))", None, None),
        ("sum(g) / sum(a)", True, None),
        ("sum(g) / sum(a)", None, "not a counter by its name"),
        ("sum(g) / sum(a)", False, "not a counter by its name"),
        ("sum(g_total) / sum(a_total)", False, "are no counters counts no events"),
        ("sum(increase(g_total[1h])) / sum(rate(a_total[5m]))", True, "its two sides differently"),
        ("sum(rate(g_total[1h])) / sum(rate(a_total[5m]))", True, "its two sides differently"),
        ("sum(rate(g_total[$__interval])) / sum(rate(a_total[$x]))", True, "its two sides differently"),
        ("sum(g_total) / sum(rate(a_total[5m]))", True, "its two sides differently"),
        ("sum(rate(g_total[5m])) / rate(a_total[5m])", True, "its two sides differently"),
        ("rate(g_total[5m]) / rate(a_total[5m])", True, "divides series by series"),
        ("sum(g_total) / ignoring(code) group_left sum(a_total)", True, "matches series"),
        ("sum(sum_over_time(x[5m])) / sum(count_over_time(x[1d]))", None, "its two sides differently"),
        ("(sum(increase(a_total[1h])) - sum(rate(g_total[5m]))) / sum(a_total)", True, "differently"),
    ],
)
def test_a_raw_ratio_is_one_of_counters_computed_alike(
    tmp_path: Path, query: str, counter: bool | None, says: str | None
) -> None:
    """Gauges that only stand still would be events that never happen."""
    said = "" if counter is None else f"        counter: {str(counter).lower()}\n"
    raw = said + RAW.format(kind="failure", query=query)
    ratio = GOOD[GOOD.index("        counter: true") : GOOD.index("  timeWindow")]
    if says is None:
        [one] = load(tmp_path, GOOD.replace(ratio, raw))
        assert str(one.indicator.bad).startswith("g")
    else:
        with pytest.raises(ConfigurationError, match=says):
            load(tmp_path, GOOD.replace(ratio, raw))


@pytest.mark.parametrize(
    "query",
    [
        'x_total{path=~"/odata/[$metadata]+"}',
        """x_total{path=~'/odata/[$metadata]+'}""",
        'sum(rate(x_total{path=~"/odata/[$metadata]+"}[$__rate_interval])) # it\'s so',
        "sum(rate(x_total{path=~`/odata/[$metadata]+`}[{{ .window }}]))",
    ],
)
def test_a_range_is_filled_in_where_it_is_a_range(query: str) -> None:
    """The value of a label may look like one."""
    assert str(promql.events(query).counter) == 'x_total{path=~"/odata/[$metadata]+"}'


def test_what_the_author_should_know_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "0.yaml"
    file.write_text(
        GOOD.replace("query: responses_total\n", "query: responses\n              dimensions: [a]\n")
        .replace("  timeWindow:\n    - duration: 30d\n      isRolling: true\n", "")
        .replace("  name: availability", "  name: availability\n  labels: {tea-m: [a, b]}")
    )
    loaded = openslo.read([file])
    assert [note.partition(": ")[0].rpartition(":")[2] for note in loaded.notes] == ["6", "20", "10"]
    assert "no timeWindow" in loaded.notes[0]
    assert "dimensions is not read" in loaded.notes[1]
    assert "its name does not" in loaded.notes[2]
    assert str(loaded.objectives[0].period) == "30d"
    assert loaded.objectives[0].labels == (("tea_m", "a,b"),)


def test_several_objectives_have_names_of_their_own(tmp_path: Path) -> None:
    several = "    - {displayName: Really good, target: 0.999}\n    - {target: 0.9}\n"
    found = load(tmp_path, GOOD.replace("    - target: 0.999\n", several))
    assert [(one.name, float(one.target)) for one in found] == [
        ("availability-2", 0.9),
        ("availability-really-good", 0.999),
    ]
    assert found[0].indicator == found[1].indicator
    with pytest.raises(ConfigurationError, match="would be called availability-a, as another one"):
        load(tmp_path, GOOD.replace("    - target: 0.999\n", "    - {displayName: a, target: 0.9}\n" * 2))


def test_a_sequence_of_objects_and_what_they_refer_to(tmp_path: Path) -> None:
    policy = """
- apiVersion: openslo/v1
  kind: AlertPolicy
  metadata: {name: fast}
  spec:
    alertWhenBreaching: true
    conditions: [{conditionRef: burns}]
    notificationTargets: [{targetRef: pager}]
- apiVersion: openslo/v1
  kind: AlertCondition
  metadata: {name: burns}
  spec:
    severity: page
    condition: {kind: burnrate, op: gt, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}
- apiVersion: openslo/v1
  kind: AlertNotificationTarget
  metadata: {name: pager}
  spec: {target: pagerduty}
- apiVersion: openslo/v1
  kind: Service
  metadata: {name: api}
"""
    slo = GOOD.replace("spec:\n  service", "spec:\n  alertPolicies: [{alertPolicyRef: fast}]\n  service", 1)
    [one] = load(tmp_path, slo, policy)
    [alert] = one.alert_policies
    assert (alert.severity, alert.window_seconds, alert.after_seconds) == ("page", 3600, 300)
    assert (alert.name, alert.targets) == ("fast", ("pager",))
    [rule] = [
        rule
        for group in prometheus_rules.render([one])["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "SloPolicyFast"
    ]
    assert rule["expr"].endswith("/ 0.001 > 2.0")
    assert rule["for"] == "300s"
    assert {"critical", "page", "pager"} <= set(rule["labels"].values())
    promql_parser.parse(rule["expr"])
    with pytest.raises(ConfigurationError, match=r"0\.yaml:6: there is no AlertPolicy fast"):
        load(tmp_path, slo, "")
    with pytest.raises(ConfigurationError, match=r"1\.yaml:10: kind AlertCondishion .* AlertCondition\?"):
        load(tmp_path, slo, policy.replace("kind: AlertCondition", "kind: AlertCondishion"))


def test_a_week_begins_at_the_calendars_hour(tmp_path: Path) -> None:
    calendar = """    - duration: 1w
      isRolling: false
      calendar: {startTime: 2022-01-01 12:00:00, timeZone: America/New_York}
"""
    week = GOOD.replace("    - duration: 30d\n      isRolling: true\n", calendar)
    [one] = load(tmp_path, week)
    assert Period.parse(str(one.period)) == one.period
    # In summer New York is four hours behind UTC, in winter five; a Saturday at noon there.
    assert one.period.start(datetime(2026, 6, 10, tzinfo=UTC)) == datetime(2026, 6, 6, 16, tzinfo=UTC)
    assert one.period.start(datetime(2026, 1, 10, 17, tzinfo=UTC)) == datetime(2026, 1, 3, 17, tzinfo=UTC)
    assert one.period.start(datetime(2026, 1, 10, 18, tzinfo=UTC)) == datetime(2026, 1, 10, 17, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match="begins within an hour of UTC"):
        load(tmp_path, week.replace("America/New_York", "Asia/Kolkata"))
    with pytest.raises(ConfigurationError, match="no time zone"):
        load(tmp_path, week.replace("America/New_York", "America/Old_York"))
    [quarter] = load(tmp_path, week.replace("1w", "1Q"))
    assert quarter.period.start(datetime(2026, 3, 1, tzinfo=UTC)) == datetime(2026, 1, 1, 17, tzinfo=UTC)
    assert quarter.period.max_length == timedelta(days=92, hours=1)


def test_a_grouping_makes_an_objective_of_each_value(tmp_path: Path) -> None:
    annotated = GOOD.replace(
        "  name: availability",
        '  name: availability\n  annotations: {ops-platform/grouping: "handler: /query, /query_range"}',
    )
    found = load(tmp_path, annotated)
    assert [one.name for one in found] == ["availability-query", "availability-query-range"]
    assert found[1].indicator.definition == {
        "good": None,
        "bad": 'responses_total{code=~"5..",handler="/query_range"}',
        "total": 'responses_total{handler="/query_range"}',
    }
    for wrong in ("handler", "handler: ", "han-dler: a", "handler: /a, a", "handler: /"):
        with pytest.raises(ConfigurationError, match=r"0\.yaml:5: "):
            load(tmp_path, annotated.replace("handler: /query, /query_range", wrong))
