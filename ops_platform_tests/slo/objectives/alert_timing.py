"""When our alerts and Sloth's tell of the same incidents: both asked of one Prometheus, minute by minute.

Sloth's conditions are written here from what it publishes of them (https://sloth.dev/introduction/architecture):
multiwindow, multi-burn-rate alerts after the workbook, the ratio of each window from raw samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from ops_platform.slo.objectives import Indicator, Objective, Period, Selector, alert_rules, event_rates
from ops_platform_tests.prometheus import load_history, running_prometheus
from ops_platform_tests.web import WEB

SCRAPE = 30
DAY = 86400
BEFORE = 3 * DAY + 7200
"""Seconds of good events before an incident: the longest window of the alerts is full."""
AFTER = 40 * 3600
CLOSE = 3 * 3600
"""Seconds from the beginning of an incident that are looked at each minute; later every five."""
BUDGET = Fraction(1, 1000)
SLOTH_TIERS = {
    "page": ((Fraction(144, 10), "1h", "5m"), (Fraction(6), "6h", "30m")),
    "ticket": ((Fraction(3), "1d", "2h"), (Fraction(1), "3d", "6h")),
}

Counts = Callable[[int], int]
"""Seconds since the incident began -> what a counter shows; negative: before it exists."""


@dataclass(frozen=True)
class Incident:
    """What the counters of one service show around an incident, at 99.9 % over 30 days."""

    name: str
    good: Counts
    bad: Counts
    born: bool = False
    """The counter of bad events is not there before it shows any."""


@dataclass(frozen=True)
class Told:
    """Minutes from the beginning of an incident until an alert fires; None: it never does."""

    sloth_page: int | None
    page: int | None
    sloth_ticket: int | None
    ticket: int | None


def _steady(name: str, share: Fraction, length: int = AFTER, rate: int = 20) -> Incident:
    """``rate`` events a second, of which a share is bad for ``length`` seconds."""

    def bad(second: int) -> int:
        return int(rate * share * min(max(second, 0), length))

    return Incident(name, lambda second: rate * (second + BEFORE) - bad(second), bad)


def _few(every: int, bad_every: int) -> tuple[Counts, Counts]:
    """One event each ``every`` seconds, and from the incident on a bad one each ``bad_every``."""

    def bad(second: int) -> int:
        return second // bad_every + 1 if second >= 0 else 0

    return (lambda second: (second + BEFORE) // every - bad(second)), bad


INCIDENTS = (
    _steady("everything fails", Fraction(1)),
    _steady("everything fails, for 4 minutes", Fraction(1), 240),
    _steady("one in ten fails", Fraction(1, 10)),
    _steady("2 % fail", Fraction(2, 100)),
    _steady("1 % fails", Fraction(1, 100)),
    _steady("0.4 % fail", Fraction(4, 1000)),
    _steady("0.2 % fail", Fraction(2, 1000)),
    _steady("0.08 % fail: less than is allowed", Fraction(8, 10_000)),
    Incident(
        "20,000 errors at once, in a series that is new",
        lambda second: 20 * (second + BEFORE),
        lambda second: 20_000 if second >= 20 else 0,
        born=True,
    ),
    Incident("three events an hour, one is bad", *_few(1200, AFTER)),
    Incident("three events an hour, all are bad", *_few(1200, 1200)),
    Incident("50 events a day, one bad each day", *_few(1728, DAY)),
)


def told(directory: Path) -> dict[str, Told]:
    """Ask a Prometheus of its own about every incident."""
    begin = int(datetime.now(UTC).timestamp()) // 3600 * 3600 - AFTER - 7200
    objectives = {incident.name: _objective(number) for number, incident in enumerate(INCIDENTS)}
    data = directory / "data"
    load_history(
        directory, (line for number, one in enumerate(INCIDENTS) for line in _lines(one, number, begin))
    )
    with running_prometheus(directory) as prometheus:
        records = {
            name: {record: _asked(prometheus.url, query, begin - BEFORE, begin + AFTER, 60)
                   for record, query in _recorded(one).items()}
            for name, one in objectives.items()
        }  # fmt: skip
    load_history(directory, (line for of_one in records.values() for line in _record_lines(of_one)))
    assert data.is_dir()
    with running_prometheus(directory) as prometheus:

        def first(query: str) -> int | None:
            for since, until, step in ((0, CLOSE, 60), (CLOSE, AFTER, 300)):
                found = _asked(prometheus.url, query, begin + since, begin + until, step)
                if found:
                    return (min(found) - begin) // 60
            return None

        return {
            name: Told(
                first(_sloth("page", one)),
                first(_ours(alert_rules.FAST, one)),
                first(_sloth("ticket", one)),
                first(_ours(alert_rules.SLOW, one)),
            )
            for name, one in objectives.items()
        }


def table(found: Mapping[str, Told]) -> list[str]:
    """Write the rows of the table in docs/slo.md."""

    def shown(minutes: int | None) -> str:
        if minutes is None:
            return "never"
        return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"

    return [
        "| "
        + " | ".join([name, *map(shown, (one.sloth_page, one.page, one.sloth_ticket, one.ticket))])
        + " |"
        for name, one in found.items()
    ]


def _objective(number: int) -> Objective:
    total = Selector.parse(f'app_requests_total{{case="{number}"}}')
    bad = Selector.parse(f'app_requests_total{{case="{number}",code="500"}}')
    return Objective(f"s{number}", "o", "", "", 1 - BUDGET, Indicator(total, bad=bad), Period("rolling", 30))


def _lines(incident: Incident, number: int, begin: int) -> Iterator[str]:
    labels = f'case="{number}",job="app",instance="a:{number}"'
    for second in range(-BEFORE, AFTER + 1, SCRAPE):
        yield f'app_requests_total{{{labels},code="200"}} {incident.good(second)} {begin + second}'
    for second in range(-BEFORE, AFTER + 1, SCRAPE):
        if incident.bad(second) or not incident.born:
            yield f'app_requests_total{{{labels},code="500"}} {incident.bad(second)} {begin + second}'


def _recorded(one: Objective) -> dict[str, str]:
    """List what the rules record of raw samples, from raw samples alone."""
    own = event_rates.own(one)
    both, bad = event_rates.names(one)
    everything = event_rates.all_events(one)
    return {
        f"{both}{own}": everything,
        f"{bad}{own}": event_rates.bad_events(one).replace(f"{both}{own}", f"({everything})"),
    }


def _record_lines(records: Mapping[str, Mapping[int, float]]) -> Iterator[str]:
    for series, values in records.items():
        yield from (f"{series.replace(', ', ',')} {value!r} {time}" for time, value in values.items())


def _ours(alert: str, one: Objective) -> str:
    [rule] = [rule for rule in alert_rules.alerts(one) if rule["alert"] == alert]
    query = str(rule["expr"])
    for name, ratio in event_rates.recordings(one).items():
        # Ratios are recorded in the moment that they are asked for.
        query = query.replace(f"max without(sloth_window) ({name}{event_rates.own(one)})", f"({ratio})")
    return query


def _sloth(severity: str, one: Objective) -> str:
    assert one.indicator.bad is not None
    bad, total = one.indicator.bad.query, one.indicator.total.query

    def burns(factor: Fraction, window: str) -> str:
        ratio = f"(sum(rate({bad}[{window}]))) / (sum(rate({total}[{window}])))"
        return f"({ratio} > {float(factor * BUDGET)!r})"

    return " or ".join(
        f"({burns(factor, short)} and {burns(factor, long)})" for factor, long, short in SLOTH_TIERS[severity]
    )


def _asked(url: str, query: str, start: int, end: int, step: int) -> dict[int, float]:
    form = {"query": query, "start": start, "end": end, "step": step}
    answer = WEB.post(f"{url}/api/v1/query_range", data=form, timeout=120).raise_for_status()
    series = answer.json()["data"]["result"]
    assert len(series) <= 1, query
    return {int(time): float(value) for one in series for time, value in one["values"]}
