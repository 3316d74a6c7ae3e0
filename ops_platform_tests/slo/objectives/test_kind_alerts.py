"""Alerts of objectives that count no events, and those that documents ask for: promtool says when each fires.

The kinds are samples of a gauge, of a gauge that is a share, values at full minutes, and time slices of each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from ops_platform.slo.objectives import alert_rules, promql
from ops_platform.slo.objectives import prometheus_rules as rules
from ops_platform.slo.objectives.alert_policy import AlertPolicy
from ops_platform.slo.objectives.model import (
    AnyIndicator,
    GaugeIndicator,
    Indicator,
    Objective,
    Period,
    Slicing,
)
from ops_platform.slo.objectives.selector import Selector
from ops_platform_tests.slo.objectives.test_prometheus_rules import promtool, promtool_test

MINUTES = 90
PER_MINUTE = 4
SAMPLES = MINUTES * PER_MINUTE
POLICY = AlertPolicy("too-fast", "", "page", "gte", Decimal(2), 3600, 300, ("team",), True, True)
UP, SHARE, ALL, BAD = (
    Selector(metric, ()) for metric in ("probe_success", "failed_share", "asked_total", "failed_total")
)
_EVENTS = Indicator(ALL, bad=BAD)
_PROBES = GaugeIndicator(promql.Gauge(UP), "gte", Fraction(1))
KINDS: Mapping[str, AnyIndicator] = {
    "samples": _PROBES,
    "shares": GaugeIndicator(promql.Gauge(SHARE), inverted=True),
    "minutes": GaugeIndicator(promql.gauge("max(max_over_time(lag_seconds[2m]))"), "lt", Fraction(5)),
    "slices": replace(_EVENTS, slicing=Slicing(60, Fraction(9, 10))),
    "slice-shares": replace(_EVENTS, slicing=Slicing(60)),
    "slices-of-samples": replace(_PROBES, slicing=Slicing(300, Fraction(9, 10))),
}
OBJECTIVES = [
    Objective(
        "kinds", name, name, "", Fraction(99, 100), kind, Period("rolling", 30), alert_policies=(POLICY,)
    )
    for name, kind in KINDS.items()
]
GOOD = {
    "probe_success": f"1x{SAMPLES}",
    "failed_share": f"0x{SAMPLES}",
    "lag_seconds": f"1x{SAMPLES}",
    "asked_total": f"0+25x{SAMPLES}",
    "failed_total": f"0x{SAMPLES}",
}
# From the fortieth minute on; what is a share is bad by four fifths.
_HALF = 40 * PER_MINUTE
BURNING = {
    "probe_success": f"1x{_HALF} 0x{SAMPLES - _HALF}",
    "failed_share": f"0x{_HALF} 0.8x{SAMPLES - _HALF}",
    "lag_seconds": f"1x{_HALF} 9x{SAMPLES - _HALF}",
    "asked_total": f"0+25x{SAMPLES}",
    "failed_total": f"0x{_HALF} 20+20x{SAMPLES - _HALF}",
}
NAMES = set(KINDS)


def case(series: Mapping[str, str], minute: int, fires: Mapping[str, set[str]]) -> dict[str, Any]:
    """``fires``: by alert, the objectives of which it is to fire at this minute; nothing else fires."""
    return {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname, slo, severity) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minute}m",
                "exp_samples": [
                    {
                        "labels": f'{{alertname="{alert}", slo="{slo}", severity="{severity(alert)}"}}',
                        "value": 1,
                    }
                    for alert, objectives in fires.items()
                    for slo in sorted(objectives)
                ],
            }
        ],
    }


def severity(alert: str) -> str:
    return "warning" if alert == alert_rules.SLOW else "critical"


@pytest.mark.services
@pytest.mark.full
def test_each_kind_burns_is_silent_and_goes_missing(tmp_path: Path) -> None:
    file = tmp_path / "slo.yml"
    file.write_text(rules.text(OBJECTIVES))
    burnt = {alert_rules.FAST: NAMES, alert_rules.SLOW: NAMES, "SloPolicyTooFast": NAMES}
    gone = {"SloPolicyTooFastNoData": NAMES, alert_rules.ABSENT: NAMES}
    cases = [
        case(GOOD, MINUTES, {}),
        case(BURNING, MINUTES, burnt),
        case({"other": f"1x{SAMPLES}"}, MINUTES, gone),
    ]
    path = tmp_path / "test.yml"
    path.write_text(json.dumps(promtool_test(file, OBJECTIVES, "5m", cases)))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
