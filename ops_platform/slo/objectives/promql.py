"""PromQL as people write it for indicators, taken apart into the counters, or the gauge, that it is made of.

Exact counts come from raw samples. So a sum of rates of counters is as good as the counters themselves,
whatever the range is; anything that computes more is refused with the reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    UnaryExpr,
    VectorSelector,
)

from ops_platform.slo.objectives.selector import Selector

_RANGE = re.compile(
    r"""(?P<kept>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|\#[^\n]*)|"""
    r"""\[\s*(?P<named>\{\{\s*\.window\s*\}\}|\$\{?[A-Za-z_]+\}?)\s*(?=[\]:])"""
)
"""A range that a program fills in, Sloth's ``{{.window}}``, Grafana's ``$__rate_interval``; or kept text."""
_AGGREGATES = ("sum", "min", "max", "avg", "count")
_OVER_TIME = (*_AGGREGATES, "last")
LONGEST_RANGE_MS = 300_000
"""The longest range of a function over time."""
_COMPUTES = (
    "computes something that is no sum of counters: exact counts come from raw samples, so name the "
    'counters, as in http_requests_total{code=~"5.."} or sum(rate(http_requests_total{code=~"5.."}[5m]))'
)


@dataclass(frozen=True)
class Events:
    """The events of a counter; less those of another one among them, if there is one."""

    counter: Selector
    less: Selector | None = None


@dataclass(frozen=True)
class Share:
    """A share of events: ``part`` of ``total``, or what is left of it to 1."""

    part: Events
    total: Selector
    inverted: bool = False


@dataclass(frozen=True)
class Gauge:
    """The values of a gauge: each sample, or what is computed from its samples at a moment.

    ``over`` is one of min max avg sum count last, over the last ``range_ms`` milliseconds of each series;
    ``aggregate`` one of sum min max avg count, over the series.
    """

    selector: Selector
    over: str | None = None
    range_ms: int = 0
    aggregate: str | None = None

    @property
    def computed(self) -> bool:
        """Whether it is evaluated at moments, and not read sample by sample."""
        return self.over is not None or self.aggregate is not None

    def __str__(self) -> str:
        inner = str(self.selector)
        if self.over is not None:
            inner = f"{self.over}_over_time({inner}[{self.range_ms}ms])"
        return inner if self.aggregate is None else f"{self.aggregate}({inner})"


@dataclass(frozen=True)
class Mean:
    """The mean of a gauge's samples, which are shares themselves, or what is left of it to 1."""

    gauge: Selector
    inverted: bool = False


@dataclass(frozen=True)
class _Form:
    """What is done to a counter: the function and its range in milliseconds, and whether series are added."""

    function: str | None
    range_ms: int
    summed: bool


def events(text: str, *, counter: bool = True) -> Events:
    """Take apart a sum of counters.

    ``counter``: whether the document says that it is one, so that its name need not. Raises ValueError, which
    says what cannot be counted exactly, and why.
    """
    found, _ = _events(_parsed(text, apart=True), counter)
    return found


def share(text: str, *, counter: bool = False) -> Share | Mean:
    """Take apart a ratio that is computed from counters, or the mean of a gauge. Raises ValueError.

    ``counter``: as of ``events``. A rate or an increase is one of counters anyway.
    """
    return _share(_parsed(text, apart=True), counter, inverted=False)


def gauge(text: str) -> Gauge:
    """Take apart a gauge: a selector, its function over time, an aggregate. Raises ValueError."""
    inner, aggregate = _parsed(text), None
    if isinstance(inner, AggregateExpr):
        aggregate = str(inner.op)
        if aggregate not in _AGGREGATES or inner.modifier is not None:
            raise ValueError(f"aggregates otherwise than by {', '.join(_AGGREGATES)} over all series")
        inner = _bare(inner.expr)
    if isinstance(inner, VectorSelector):
        return Gauge(Selector.of(inner, gauge=True), aggregate=aggregate)
    if isinstance(inner, Call) and inner.func.name.removesuffix("_over_time") in _OVER_TIME:
        [argument] = inner.args
        if isinstance(argument, MatrixSelector):
            range_ms = _milliseconds(argument)
            if range_ms > LONGEST_RANGE_MS:
                raise ValueError(
                    "looks back for longer than five minutes: what was there then says nothing of now"
                )
            over = inner.func.name.removesuffix("_over_time")
            return Gauge(Selector.of(argument.vector_selector, gauge=True), over, range_ms, aggregate)
    raise ValueError(
        "computes more than is done exactly here: a gauge, min, max, avg, sum, count or last_over_time "
        "of it over at most 5m, and sum, min, max, avg or count of that"
    )


def with_ranges(text: str, *, apart: bool = False) -> str:
    """Fill in five minutes for each range that a program fills in.

    ``apart``: something else for each of several that have different names, so that they are not alike.
    """
    names: list[str] = []

    def filled(found: re.Match[str]) -> str:
        if found["kept"] is not None:
            return found[0]
        name = re.sub(r"[\s{}]", "", found["named"])
        if name not in names:
            names.append(name)
        return f"[{300_000 - names.index(name)}ms" if apart else "[5m"

    return _RANGE.sub(filled, text)


def _parsed(text: str, *, apart: bool = False) -> object:
    try:
        return _bare(promql_parser.parse(with_ranges(text, apart=apart)))
    except ValueError as error:
        raise ValueError(f"is not PromQL ({str(error).strip()})") from None


def _bare(expression: object) -> object:
    while isinstance(expression, ParenExpr):
        expression = expression.expr
    return expression


def _operator(expression: object) -> str | None:
    return str(expression.op) if isinstance(expression, BinaryExpr) else None


def _number(expression: object) -> float | None:
    inner = _bare(expression)
    if isinstance(inner, UnaryExpr):
        value = _number(inner.expr)
        return None if value is None else -value
    return float(inner.val) if isinstance(inner, NumberLiteral) else None


def _events(expression: object, counter: bool) -> tuple[Events, _Form]:
    inner = _bare(expression)
    if isinstance(inner, BinaryExpr) and str(inner.op) == "or" and is_zero(inner.rhs):
        # What never happened has no series, and counts as zero here, too.
        return _events(inner.lhs, counter)
    if isinstance(inner, BinaryExpr) and str(inner.op) == "-":
        (whole, form), (part, other) = _events(inner.lhs, counter), _events(inner.rhs, counter)
        if whole.less is not None or part.less is not None:
            raise ValueError("subtracts more than once: give the counters of good, or of bad, events")
        _refuse_unlike(inner, form, other)
        return Events(whole.counter, part.counter), form
    if isinstance(inner, BinaryExpr) and str(inner.op) == "+":
        raise ValueError("adds several metrics: name one, with a regular expression for several label values")
    selector, form = _counter(inner, counter)
    return Events(selector), form


def _refuse_unlike(expression: BinaryExpr, left: _Form, right: _Form) -> None:
    """Refuse two sides that PromQL matches, or that are not computed alike: their quotient is another one."""
    if expression.modifier is not None:
        raise ValueError("matches series (on, ignoring, group_left): add them up on both sides, by sum")
    if left != right:
        raise ValueError(
            "computes its two sides differently: write the same function, range and sum on both of them"
        )


def is_zero(expression: object) -> bool:
    """Tell whether an expression is ``vector(0)``."""
    inner = _bare(expression)
    return isinstance(inner, Call) and inner.func.name == "vector" and _number(inner.args[0]) == 0


def _counter(expression: object, counter: bool) -> tuple[Selector, _Form]:
    inner = expression
    summed = isinstance(inner, AggregateExpr)
    if isinstance(inner, AggregateExpr):
        if str(inner.op) != "sum":
            raise ValueError(f"takes the {inner.op} of series, and not their sum: {_COMPUTES}")
        if inner.modifier is not None:
            raise ValueError("sums by label: leave out by (...), for all series of an objective are added")
        inner = _bare(inner.expr)
    if isinstance(inner, Call) and inner.func.name in ("rate", "increase"):
        [argument] = inner.args
        if isinstance(argument, MatrixSelector):
            # Nobody takes the rate of anything else.
            selector = Selector.of(argument.vector_selector, counter=True)
            return selector, _Form(inner.func.name, _milliseconds(argument), summed)
    if isinstance(inner, MatrixSelector):
        raise ValueError(f"is a range of samples: {_COMPUTES}")
    if isinstance(inner, VectorSelector):
        return Selector.of(inner, counter=counter), _Form(None, 0, summed)
    raise ValueError(_COMPUTES)


def _milliseconds(argument: MatrixSelector) -> int:
    return round(argument.range.total_seconds() * 1000)


def _share(expression: object, counter: bool, inverted: bool) -> Share | Mean:
    inner = _bare(expression)
    if isinstance(inner, BinaryExpr) and str(inner.op) == "-" and _number(inner.lhs) == 1:
        return _share(inner.rhs, counter, not inverted)
    if isinstance(inner, BinaryExpr) and str(inner.op) == "/":
        summed, counted = (
            _over_time(side, name) for side, name in ((inner.lhs, "sum"), (inner.rhs, "count"))
        )
        if summed is not None and counted is not None and summed[0] == counted[0]:
            _refuse_unlike(inner, summed[1], counted[1])
            return Mean(summed[0], inverted)
        (part, form), (total, other) = (_events(side, counter) for side in (inner.lhs, inner.rhs))
        if total.less is not None:
            raise ValueError("divides by a difference: all events must be one counter")
        _refuse_unlike(inner, form, other)
        if not form.summed:
            raise ValueError("divides series by series, each by its own: add them up on both sides, by sum")
        return Share(part, total.counter, inverted)
    if isinstance(inner, VectorSelector):
        return Mean(Selector.of(inner, gauge=True), inverted)
    raise ValueError(
        "is neither one counter's events by another's, nor a gauge that is a share itself: "
        "give good or bad, and total"
    )


def _over_time(expression: object, function: str) -> tuple[Selector, _Form] | None:
    """Take ``sum(<function>_over_time(x[w]))`` apart; None: it is something else."""
    inner, summed = _bare(expression), False
    if isinstance(inner, AggregateExpr) and str(inner.op) == "sum" and inner.modifier is None:
        inner, summed = _bare(inner.expr), True
    if isinstance(inner, Call) and inner.func.name == f"{function}_over_time":
        [argument] = inner.args
        if isinstance(argument, MatrixSelector):
            selector = Selector.of(argument.vector_selector, gauge=True)
            return selector, _Form("over_time", _milliseconds(argument), summed)
    return None
