"""The selector of the counters that an objective counts: plain PromQL, nothing that computes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal

import promql_parser
from promql_parser import MatchOp, VectorSelector

_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_COUNTERS = ("_total", "_count", "_bucket")


@dataclass(frozen=True)
class Matcher:
    """A condition on one label; ``operator`` is one of = != =~ !~."""

    name: str
    operator: str
    value: str

    def __str__(self) -> str:
        text = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{text}"'

    def fits(self, value: str) -> bool:
        """Tell whether a label of this value is selected; assume so of an expression that only RE2 knows."""
        if self.operator in ("=", "!="):
            return (value == self.value) == (self.operator == "=")
        try:
            matches = re.fullmatch(self.value, value, re.ASCII | re.DOTALL) is not None
        except re.error:
            return True
        return matches == (self.operator == "=~")


@dataclass(frozen=True)
class Selector:
    """A selector ``metric{matchers}``; ``bound`` is the inclusive upper bound of a bucket, its ``le``."""

    metric: str
    matchers: tuple[Matcher, ...]
    bound: float | None = None

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Parse a PromQL selector of a counter.

        Raises ValueError, which says what cannot be counted exactly, and why.
        """
        try:
            parsed = promql_parser.parse(text)
        except ValueError as error:
            raise ValueError(f"is not PromQL ({str(error).strip()})") from None
        if not isinstance(parsed, VectorSelector):
            raise ValueError(
                "computes something: exact counts come from raw samples, so name the counters only, "
                'as in http_requests_total{code=~"5.."}'
            )
        return cls.of(parsed)

    @classmethod
    def of(cls, parsed: VectorSelector, *, counter: bool = False, gauge: bool = False) -> Selector:
        """Check a parsed selector, of a ``gauge`` or of a counter.

        ``counter``: whether the document says that it is one, so that its name need not. Raises ValueError as
        ``parse`` does.
        """
        if parsed.offset is not None or parsed.at is not None:
            raise ValueError("looks at another time (offset or @): leave that out")
        matchers = parsed.matchers
        if matchers.or_matchers:
            raise ValueError("has alternatives (or): use one regular expression")
        metric = parsed.name
        if not metric or any(matcher.name == "__name__" for matcher in matchers.matchers):
            raise ValueError("names no metric, or several: name one")
        if not gauge and (metric.endswith("_sum") or not (counter or metric.endswith(_COUNTERS))):
            kind = "a sum of values" if metric.endswith("_sum") else "not a counter by its name"
            raise ValueError(f"is {kind}: events are counted by metrics ending in {', '.join(_COUNTERS)}")
        bound, kept = None, []
        for matcher in matchers.matchers:
            if matcher.name == "le" and metric.endswith("_bucket"):
                bound = _bound(matcher.op, matcher.value)
            else:
                operator = _OPERATORS[str(matcher.op).rpartition(".")[2]]
                kept.append(Matcher(matcher.name, operator, matcher.value))
        if metric.endswith("_bucket") and bound is None:
            raise ValueError('counts every bucket at once: choose one, as in {le="10"}')
        return cls(metric, tuple(sorted(kept, key=str)), bound)

    @property
    def is_counter_by_name(self) -> bool:
        """Whether the metric's name says that it is a counter."""
        return self.metric.endswith(_COUNTERS)

    def __str__(self) -> str:
        inside = [str(matcher) for matcher in self.matchers]
        if self.bound is not None:
            inside.append(f'le="{format_bound(self.bound)}"')
        return f"{self.metric}{{{','.join(inside)}}}" if inside else self.metric

    @property
    def query(self) -> str:
        """The PromQL to ask Prometheus with, however the instances write the bound."""
        inside = [str(matcher) for matcher in self.matchers]
        if self.bound is not None:
            pattern = "|".join(sorted(re.escape(spelling) for spelling in spellings(self.bound)))
            inside.append(str(Matcher("le", "=~", pattern)))
        return f"{self.metric}{{{','.join(inside)}}}" if inside else self.metric


def format_bound(bound: float) -> str:
    """Write the shortest decimal that is exactly this bound: 10, 0.1234567, 1e+07."""
    if bound == math.inf:
        return "+Inf"
    short = f"{bound:g}"
    return short if float(short) == bound else repr(bound)


def spellings(bound: float) -> set[str]:
    """List how clients and Prometheus may write a bound: 10, 10.0, 1e+06, 1.0E7, 12345678.9, +Inf."""
    if bound == math.inf:
        return {"+Inf"}
    exact = Decimal(repr(bound)).normalize()
    plain = f"{exact:f}"
    written = {repr(bound), plain, plain if "." in plain else f"{plain}.0"}
    power = exact.adjusted()
    if power < -4 or power >= 6:
        # Go, in its client library and in Prometheus 3: an exponent of at least two digits.
        written.add(f"{bound:.{len(exact.as_tuple().digits) - 1}e}")
    if power < -3 or power >= 7:
        # Java: always with a fraction.
        digits = "".join(map(str, exact.as_tuple().digits))
        sign = "-" if bound < 0 else ""
        written.add(f"{sign}{digits[0]}.{digits[1:] or '0'}E{power}")
    short = f"{bound:g}"
    return {*written, short} if float(short) == bound else written


def _bound(op: MatchOp, value: str) -> float:
    try:
        if str(op).rpartition(".")[2] != "Equal":
            raise ValueError
        bound = float(value)
        if math.isnan(bound):
            raise ValueError
        return bound
    except ValueError:
        raise ValueError(f'has le {value!r}: name exactly one bucket, as in {{le="10"}}') from None
