"""Many objectives, many series, long windows: the CPU, memory and query times that they cost.

Targets: an hour of 500 objectives takes at most 10 s of CPU; an hour of 10,000 series at 15 s at most 200 MB,
and a backfill of 500 objectives 500 MB; the rule over 30 days at most 83 ms, where ``rate`` reads raw
samples of four series for 233 to 370 ms; all rules of an objective no more than Sloth's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import yaml

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import Indicator, Objective, Period, Selector, event_rates, prometheus_rules
from ops_platform.slo.objectives.alert_rules import alerts
from ops_platform_tests.benchmarks.measure import Report, Target, Timing
from ops_platform_tests.prometheus import load_history, running_prometheus
from ops_platform_tests.services import OpsDatabases

STEP = 15
SPARSE = 300
DAYS = 30
REPETITIONS = 5
AT_ONCE = 10
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def run(say: Callable[[str], None], databases: OpsDatabases, *, quick: bool = False) -> list[Report]:
    with tempfile.TemporaryDirectory() as name:
        rules = _rules(say, Path(name), 2 if quick else DAYS)
    return [_counting(say, databases, quick=quick), rules]


def _counting(say: Callable[[str], None], databases: OpsDatabases, *, quick: bool) -> Report:
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR
    number, series, hours = (50, 500, 6) if quick else (500, 10_000, 48)
    report = Report("Counting at scale", base=f"an hour of {number} objectives")
    many = f"an hour of {series} series"
    backfill = f"{hours} hours of {number} objectives"
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "many").mkdir()
        for index in range(number):
            selector = f'app_requests_total{{service="s{index % 50}",route="r{index}"}}'
            _write(directory / "many" / f"{index}.yaml", f"s{index % 50}", f"o{index}", selector)
        (directory / "wide").mkdir()
        _write(directory / "wide" / "wide.yaml", "wide", "o", "wide_requests_total")
        span = (int((end - HOUR * hours).timestamp()) - 3600, int(end.timestamp()) + 1200)
        say(f"recording {hours} hours of {number} objectives, and an hour of {series} series")
        load_history(directory, _requests(number, series, *span, int(end.timestamp()) - 2 * 3600))
        with running_prometheus(directory) as prometheus:

            def once(name: str, objectives: str, since: datetime) -> dict[str, float]:
                command = [sys.executable, "-m", "ops_platform_tests.benchmarks.slo_once"]
                command += [databases.create().url("ops_worker"), prometheus.url, str(directory / objectives)]
                command += [since.isoformat(), end.isoformat()]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found: dict[str, float] = json.loads(done.stdout)
                say(f"{name}: {found['cpu']:.1f} s of CPU, {found['peak'] / 1e6:.0f} MB")
                report.timings.append(Timing(name, (found["cpu"],)))
                return found

            hour = once(report.base, "many", end - HOUR)
            wide = once(many, "wide", end - HOUR)
            long = once(backfill, "many", end - HOUR * hours)
    report.targets = [
        Target(f"CPU of {report.base}", hour["cpu"], 10.0, unit="s"),
        Target(f"memory of {many}", wide["peak"] / 1e6, 200.0, unit="MB"),
        Target(f"memory of {backfill}", long["peak"] / 1e6, 500.0, unit="MB"),
    ]
    report.notes = ["times are of CPU, without the databases' and Prometheus' own"]
    return report


def _write(file: Path, service: str, name: str, total: str) -> None:
    def metric(query: str) -> dict[str, Any]:
        return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}

    bad = f'{total[:-1]},code="500"}}' if total.endswith("}") else f'{total}{{code="500"}}'
    ratio = {"counter": True, "bad": metric(bad), "total": metric(total)}
    spec = {
        "service": service,
        "indicator": {"metadata": {"name": name}, "spec": {"ratioMetric": ratio}},
        "timeWindow": [{"duration": "30d", "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"target": 0.999}],
    }
    document = {"apiVersion": "openslo/v1", "kind": "SLO", "metadata": {"name": name}, "spec": spec}
    file.write_text(yaml.safe_dump(document), encoding="utf-8")


def _requests(number: int, series: int, start: int, end: int, late: int) -> Iterator[str]:
    """Two codes of each route of 50 services, and one metric of many series from ``late`` on.

    Before ``late`` once a minute, which is enough for days.
    """
    times = [*range(start, late, 60), *range(late, end, STEP)]
    for service in range(50):
        target = f'job="s{service}",instance="a:1"'
        for time in times:
            yield f"up{{{target}}} 1 {time}"
            yield f"process_start_time_seconds{{{target}}} 1500000000 {time}"
    for index in range(number):
        target = f'job="s{index % 50}",instance="a:1",service="s{index % 50}",route="r{index}"'
        for code, each in (("200", 7), ("500", 1)):
            for time in times:
                yield f'app_requests_total{{{target},code="{code}"}} {each * (time - start)} {time}'
    for time in range(late, end, STEP):
        yield f'up{{job="wide",instance="a:1"}} 1 {time}'
    for index in range(series):
        code = "500" if index % 100 == 0 else "200"
        labels = f'job="wide",instance="a:1",code="{code}",n="{index}"'
        for time in range(late, end, STEP):
            yield f"wide_requests_total{{{labels}}} {time - late} {time}"


def _rules(say: Callable[[str], None], directory: Path, days: int) -> Report:
    """Evaluate the rules of an objective of four series, as the issue's measurement had it, and Sloth's."""
    total = Selector.parse("shop_requests_total")
    bad = Selector.parse('shop_requests_total{code=~"5.."}')
    objective = Objective(
        "shop", "o", "", "", Fraction(999, 1000), Indicator(total, bad=bad), Period("rolling", days)
    )
    end = int(datetime.now(UTC).timestamp()) // 3600 * 3600 - 7200
    start = end - days * 86400
    say(f"recording {days} days of four series, and of what is recorded of them, every {STEP} s")
    own = event_rates.own(objective).replace(", ", ",")
    both, bad_name = event_rates.names(objective)
    ratio = f'slo:sli_error:ratio_rate5m{own[:-1]},sloth_window="5m"}}'

    def samples() -> Iterator[str]:
        for code in ("200", "201", "404", "500"):
            series = f'shop_requests_total{{code="{code}",job="shop",instance="a:1"}}'
            yield from (f"{series} {time - start} {time}" for time in range(start, end, STEP))
        for series, value in ((f"{both}{own}", 4), (f"{bad_name}{own}", 1), (ratio, 0.25)):
            yield from (f"{series} {value} {time}" for time in range(start, end, STEP))
        for name, value in zip(event_rates.sparse(objective), (4, 1), strict=True):
            yield from (f"{name}{own} {value} {time}" for time in range(start, end, SPARSE))

    load_history(directory, samples())
    at = datetime.fromtimestamp(end - STEP, UTC)
    with running_prometheus(directory) as prometheus:
        ours = [
            str(rule["expr"])
            for group in prometheus_rules.render([objective])["groups"]
            for rule in group["rules"]
        ]
        period = event_rates.recordings(objective)[f"slo:sli_error:ratio_rate{days}d"]
        names = (
            f"the rule over {days} days",
            "the same from the records of each 15 s",
            f"rate(...[{days}d]) of four series",
            "all rules of an objective",
            "Sloth's recording rules of it",
        )
        dense = (
            f"sum_over_time({bad_name}{own}[{days * 86400 - 1}s:5m])"
            f" / sum_over_time({both}{own}[{days * 86400 - 1}s:5m])"
        )
        queries = ([period], [dense], [f"sum(rate(shop_requests_total[{days}d]))"], ours, _sloth(own, days))
        report = Report("Rules of an objective", base=names[2])
        for name, expressions in zip(names, queries, strict=True):
            report.timings.append(_asked(prometheus, name, expressions, at))
            say(f"{name}: {report.timing(name).median * 1000:.0f} ms")
    report.targets = [
        Target(names[0], report.timing(names[0]).median * 1000, 83.0, unit="ms"),
        Target(
            f"{names[3]} over {names[4]}", report.timing(names[3]).median / report.timing(names[4]).median, 1
        ),
    ]
    report.notes = [
        f"{len(ours)} rules, {len(alerts(objective))} of them alerts, each asked once over HTTP",
        "times are of Prometheus' CPU",
    ]
    return report


def _sloth(own: str, days: int) -> list[str]:
    """Write the expressions of Sloth 0.11 for the same objective."""
    bad, total = 'shop_requests_total{code=~"5.."}', "shop_requests_total"
    windows = [f"(sum(rate({bad}[{window}]))) / (sum(rate({total}[{window}])))" for window in WINDOWS]
    ratio = f"slo:sli_error:ratio_rate5m{own}[{days}d]"
    period = f"sum_over_time({ratio}) / ignoring (sloth_window) count_over_time({ratio})"
    # Of the rest neither reads more than a sample.
    return [*windows, period, *["vector(1)"] * 7]


def _asked(prometheus: Prometheus, name: str, expressions: list[str], at: datetime) -> Timing:
    """Time the CPU that Prometheus spends: other work on the machine makes it later, not dearer."""

    def ask() -> None:
        for expression in expressions:
            prometheus.query(expression, at=at)

    ask()
    taken = []
    for _ in range(REPETITIONS):
        before = _cpu_seconds()
        # The clock of processes counts in hundredths.
        for _ in range(AT_ONCE):
            ask()
        taken.append((_cpu_seconds() - before) / AT_ONCE)
    return Timing(name, tuple(taken))


def _cpu_seconds() -> float:
    [server] = [child for child in psutil.Process().children() if child.name() == "prometheus"]
    times = server.cpu_times()
    return float(times.user + times.system)
