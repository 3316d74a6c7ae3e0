"""What each query of the objectives' dashboard is to answer, told from the invented figures alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ops_platform_tests.dashboards.objective_figures import (
    API,
    CHOSEN,
    MEDIA,
    WEBHOOKS,
    Invented,
)

Labels = frozenset[tuple[str, str]]
Answer = Mapping[Labels, float]

STATES = ("ok", "no_data", "source_missing")


def each(value: Callable[[Invented], float | None]) -> Answer:
    """By service and slo; None: no series."""
    found = {frozenset(one.labels.items()): value(one) for one in CHOSEN}
    return {labels: number for labels, number in found.items() if number is not None}


def each_window(value: Callable[[Invented, str], float | None]) -> Answer:
    found = {
        frozenset({**one.labels, "window": window}.items()): value(one, window)
        for one in CHOSEN
        for window in one.counts
    }
    return {labels: number for labels, number in found.items() if number is not None}


def good(one: Invented, window: str) -> float | None:
    count = one.counts[window]
    return None if count is None else count[0]


def total(one: Invented, window: str) -> float | None:
    count = one.counts[window]
    return None if count is None else count[1]


def bad(one: Invented, window: str) -> float | None:
    count = one.counts[window]
    return None if count is None else count[1] - count[0]


def achieved(one: Invented, window: str) -> float | None:
    share = one.achieved(window)
    return None if share is None else math.floor(share * 1000 + 1e-6) / 1000


def state(one: Invented, window: str) -> float:
    return STATES.index(one.state(window))


def verdict(one: Invented, window: str) -> float:
    return {"met": 0.0, "at risk": 1.0, "breached": 2.0, "undecided": 4.0}[one.verdict(window)]


def burn(window: str) -> Answer:
    def of(one: Invented) -> float | None:
        if one is WEBHOOKS or window not in one.bad:
            return None
        return one.bad[window] / one.budget

    return each(of)


def period_burn(one: Invented) -> float | None:
    return None if one is WEBHOOKS else one.bad[f"{one.days}d"] / one.budget


def by_rules(one: Invented) -> float | None:
    burnt = period_burn(one)
    return None if burnt is None else 100 * (1 - burnt)


def difference(one: Invented) -> float | None:
    ledger, rules = one.left(one.period), by_rules(one)
    return None if ledger is None or rules is None else ledger - rules


def exhausted() -> Answer:
    """Half of the budget at fourfold burn; spent already; and nothing of those that burn nothing."""
    return {
        frozenset(API.labels.items()): 0.5 * 30 * 86400 / 4,
        frozenset(MEDIA.labels.items()): 0.0,
    }


def answers(passed: float) -> dict[str, Answer]:
    """By "title/A", panel and query; ``passed``: seconds since the moment that times are told from."""
    age = each(lambda one: one.measured_ago + passed)
    target = each(lambda one: one.target)
    now = "Every objective"
    window = "Events by window"
    short, long = "Burn rate over minutes and hours", "Burn rate over hours and days"
    both = "Burn rate now and over the whole period"
    return {
        f"{now}/A": each(lambda one: verdict(one, one.period)),
        f"{now}/B": target,
        f"{now}/C": each(lambda one: achieved(one, one.period)),
        f"{now}/D": each(lambda one: one.left(one.period)),
        f"{now}/E": burn("5m"),
        f"{now}/F": each(period_burn),
        f"{now}/G": exhausted(),
        f"{now}/H": each(lambda one: state(one, one.period)),
        f"{now}/I": age,
        f"{now}/J": each(lambda one: float(one is API)),
        "Achieved by window/A": each_window(achieved),
        "Achieved by window/B": target,
        "Error budget left by window/A": each_window(Invented.left),
        f"{short}/A": burn("5m"),
        f"{short}/B": burn("30m"),
        f"{short}/C": burn("1h"),
        f"{short}/D": burn("2h"),
        f"{long}/A": burn("6h"),
        f"{long}/B": burn("1d"),
        f"{long}/C": burn("3d"),
        f"{long}/D": burn("30d"),
        f"{both}/A": burn("5m"),
        f"{both}/B": each(period_burn),
        "Time until the budget is spent/A": exhausted(),
        f"{window}/A": each_window(good),
        f"{window}/B": each_window(total),
        f"{window}/C": each_window(bad),
        f"{window}/D": each_window(achieved),
        f"{window}/E": each_window(Invented.left),
        f"{window}/F": each_window(state),
        "Good events by window/A": each_window(good),
        "All events by window/A": each_window(total),
        "Verdict by window/A": each_window(verdict),
        "State by window/A": each_window(state),
        "Error budget left, ledger and rules/A": each(lambda one: one.left(one.period)),
        "Error budget left, ledger and rules/B": each(by_rules),
        "Ledger minus rules/A": each(difference),
        "Age of the newest figure/A": age,
        "annotation: Excluded maintenance": {frozenset(API.labels.items()): 1.0},
    }
