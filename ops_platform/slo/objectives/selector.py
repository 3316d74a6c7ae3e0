"""Which counters an objective counts: a plain PromQL selector, and nothing that computes."""

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
    name: str
    operator: str
    value: str

    def __str__(self) -> str:
        text = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{text}"'

    def fits(self, value: str) -> bool:
        """Whether a label of this value is chosen; of an expression that only RE2 knows, it is."""
        if self.operator in ("=", "!="):
            return (value == self.value) == (self.operator == "=")
        try:
            found = re.fullmatch(self.value, value, re.ASCII | re.DOTALL) is not None
        except re.error:
            return True
        return found == (self.operator == "=~")


@dataclass(frozen=True)
class Selector:
    """``metric{matchers}``. ``bound``: the inclusive upper bound of a histogram's bucket, its ``le``."""

    metric: str
    matchers: tuple[Matcher, ...]
    bound: float | None = None

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Raises ValueError that says what cannot be counted exactly, and why."""
        try:
            parsed = promql_parser.parse(text)
        except ValueError as error:
            raise ValueError(f"is no PromQL ({str(error).strip()})") from None
        if not isinstance(parsed, VectorSelector):
            raise ValueError(
                "computes something: exact counts come from raw samples, so name the counters only, "
                'as in http_requests_total{code=~"5.."}'
            )
        if parsed.offset is not None or parsed.at is not None:
            raise ValueError("looks at another time (offset or @): leave that out")
        matchers = parsed.matchers
        if matchers.or_matchers:
            raise ValueError("has alternatives (or): use one regular expression")
        metric = parsed.name
        if not metric or any(one.name == "__name__" for one in matchers.matchers):
            raise ValueError("names no metric, or several: name one")
        if not metric.endswith(_COUNTERS):
            what = "a sum of values" if metric.endswith("_sum") else "no counter by its name"
            raise ValueError(f"is {what}: events are counted by metrics ending in {', '.join(_COUNTERS)}")
        bound, kept = None, []
        for one in matchers.matchers:
            if one.name == "le" and metric.endswith("_bucket"):
                bound = _bound(one.op, one.value)
            else:
                kept.append(Matcher(one.name, _OPERATORS[str(one.op).rpartition(".")[2]], one.value))
        if metric.endswith("_bucket") and bound is None:
            raise ValueError('counts every bucket at once: choose one, as in {le="10"}')
        return cls(metric, tuple(sorted(kept, key=str)), bound)

    def __str__(self) -> str:
        inside = [str(one) for one in self.matchers]
        if self.bound is not None:
            inside.append(f'le="{written(self.bound)}"')
        return f"{self.metric}{{{','.join(inside)}}}" if inside else self.metric

    @property
    def query(self) -> str:
        """The same for Prometheus, whatever way the instances write the bound."""
        inside = [str(one) for one in self.matchers]
        if self.bound is not None:
            ways = "|".join(sorted(re.escape(way) for way in spellings(self.bound)))
            inside.append(str(Matcher("le", "=~", ways)))
        return f"{self.metric}{{{','.join(inside)}}}" if inside else self.metric


def written(bound: float) -> str:
    """The shortest that is exactly this bound: 10, 0.1234567, 1e+07."""
    if bound == math.inf:
        return "+Inf"
    short = f"{bound:g}"
    return short if float(short) == bound else repr(bound)


def spellings(bound: float) -> set[str]:
    """How clients and Prometheus write a bucket's bound: 10, 10.0, 1e+06, 1.0E7, 12345678.9, +Inf."""
    if bound == math.inf:
        return {"+Inf"}
    exact = Decimal(repr(bound)).normalize()
    plain = f"{exact:f}"
    ways = {repr(bound), plain, plain if "." in plain else f"{plain}.0"}
    power = exact.adjusted()
    if power < -4 or power >= 6:
        # Go's, of the client library and of Prometheus 3: an exponent of at least two digits.
        ways.add(f"{bound:.{len(exact.as_tuple().digits) - 1}e}")
    if power < -3 or power >= 7:
        # Java's; it always has a fraction.
        digits = "".join(map(str, exact.as_tuple().digits))
        sign = "-" if bound < 0 else ""
        ways.add(f"{sign}{digits[0]}.{digits[1:] or '0'}E{power}")
    short = f"{bound:g}"
    return {*ways, short} if float(short) == bound else ways


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
