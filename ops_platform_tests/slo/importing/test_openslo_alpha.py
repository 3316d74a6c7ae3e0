"""Documents of OpenSLO v1alpha: nothing is left out without a line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ops_platform.errors import ConfigurationError
from ops_platform.slo import importing
from ops_platform.slo.objectives import openslo

GOOD = """apiVersion: openslo/v1alpha
kind: SLO
metadata: {name: ratio, displayName: Ratio}
spec:
  service: api
  budgetingMethod: Occurrences
  timeWindows: [{unit: Day, count: 28, isRolling: true}]
  objectives:
    - target: 0.98
      ratioMetrics:
        incremental: true
        good: {source: prometheus, queryType: promql, query: sum(good_total)}
        total: {source: prometheus, query: sum(all_total)}
"""


def test_a_ratio_of_counters_is_carried_over(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    made = importing.convert(tmp_path / "a.yaml")
    assert made.dropped == []
    [document] = made.documents.values()
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(document))
    [one] = openslo.read([tmp_path / "b.yaml"]).objectives
    assert (str(one.indicator.good), str(one.period)) == ("good_total", "28d")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("metadata: {", "metadata: {labels: {team: x}, ", 3, "labels is dropped"),
        ("isRolling: true", "isRolling: true, slack: 1", 7, "slack is dropped"),
        ("incremental: true\n", "incremental: true\n        single: 1\n", 12, "single is dropped"),
        ("queryType: promql", "queryType: influx", 12, "queryType is dropped"),
    ],
)
def test_what_is_dropped_is_said(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace(old, new, 1))
    [dropped] = importing.convert(tmp_path / "a.yaml").dropped
    assert dropped.startswith(f"{tmp_path / 'a.yaml'}:{line}: {says}")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("incremental: true", "incremental: false", 11, "no counter count no events"),
        ("incremental: true", "counter: false", 11, "no counter count no events"),
        ("isRolling: true", "isRolling: false", 7, "that does not roll has a calendar"),
    ],
)
def test_what_would_be_another_objective_is_refused(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=says) as refused:
        importing.convert(tmp_path / "a.yaml")
    assert str(refused.value).startswith(f"{tmp_path / 'a.yaml'}:{line}: ")
