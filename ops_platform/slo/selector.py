"""Which counters an objective counts: a plain PromQL selector, and nothing that computes."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
            inside.append(f'le="{self.bound:g}"')
        return f"{self.metric}{{{','.join(inside)}}}" if inside else self.metric

    @property
    def query(self) -> str:
        """The same for Prometheus, whatever way the instances write the bound."""
        inside = [str(one) for one in self.matchers]
        if self.bound is not None:
            ways = "|".join(sorted(re.escape(way) for way in spellings(self.bound)))
            inside.append(str(Matcher("le", "=~", ways)))
        return f"{self.metric}{{{','.join(inside)}}}" if inside else self.metric


def spellings(bound: float) -> set[str]:
    """How clients write a bucket's bound: 10, 10.0, 1e+06, +Inf."""
    if bound == float("inf"):
        return {"+Inf"}
    ways = {repr(bound), f"{bound:g}", f"{bound:.6g}", f"{bound:f}".rstrip("0").rstrip(".")}
    if bound.is_integer():
        ways |= {str(int(bound)), f"{int(bound)}.0"}
    return {way for way in ways if float(way) == bound}


def _bound(op: MatchOp, value: str) -> float:
    try:
        if str(op).rpartition(".")[2] != "Equal":
            raise ValueError
        return float(value)
    except ValueError:
        raise ValueError(f'has le {value!r}: name exactly one bucket, as in {{le="10"}}') from None
