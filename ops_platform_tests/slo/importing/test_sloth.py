"""Sloth's files become documents that count the same events, or are refused with file and line."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from ops_platform.cli import cli
from ops_platform.errors import ConfigurationError
from ops_platform.slo import importing
from ops_platform.slo.objectives import openslo

GOOD = """version: prometheus/v1
service: shop
slos:
  - name: requests_availability
    objective: 99.9
    description: Requests that are answered.
    sli:
      events:
        error_query: sum(rate(http_requests_total{code=~"(5..|429)"}[{{.window}}]))
        total_query: sum(rate(http_requests_total[{{.window}}]))
    alerting:
      name: ShopHighErrorRate
  - name: latency
    objective: 95
    sli:
      events:
        error_query: |
          (
            sum(rate(http_seconds_count[{{.window}}]))
            -
            sum(rate(http_seconds_bucket{le="0.3"}[{{ .window }}]))
          )
        total_query: sum(rate(http_seconds_count[{{.window}}]))
  - name: all
    objective: 100
    sli:
      events:
        error_query: sum(increase(bad_total[{{.window}}]))
        total_query: sum(increase(every_total[{{.window}}]))
"""
ERRORS = 'sum(rate(http_requests_total{code=~"(5..|429)"}[{{.window}}]))'


def test_what_is_imported_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "sloth.yml").write_text(GOOD)
    out = tmp_path / "objectives"
    done = CliRunner().invoke(cli, ["slo", "import", str(tmp_path / "sloth.yml"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    found = {one.name: one for one in openslo.load_directory(out)}
    assert {name: one.target for name, one in found.items()} == {
        "requests-availability": Fraction(999, 1000),
        "latency": Fraction(95, 100),
        "all": 1,
    }
    assert str(found["requests-availability"].indicator.bad) == 'http_requests_total{code=~"(5..|429)"}'
    assert str(found["latency"].indicator.good) == 'http_seconds_bucket{le="0.3"}'
    assert found["latency"].indicator.bad is None
    again = CliRunner().invoke(
        cli, ["slo", "import", str(tmp_path / "sloth.yml"), "--out", str(out)], standalone_mode=False
    )
    assert "is there already" in str(again.exception)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("version: prometheus/v1", "version: 2", 1, "not a Sloth file"),
        ("service: shop\n", "", 1, "names a service"),
        ("objective: 99.9", "objective: 0", 5, "percentage"),
        ("objective: 99.9", "objective: high", 5, "percentage"),
        ("[{{.window}}]))\n        total", "[5m]))\n        total", 9, "has no {{.window}}"),
        (ERRORS, "avg(rate(a_total[{{.window}}]))", 9, "computes something"),
        (ERRORS, "sum by (x) (rate(a_total[{{.window}}]))", 9, "sums by label"),
        (ERRORS, "sum(rate(queue_sum[{{.window}}]))", 9, "sum of values"),
        ("query: sum(rate(http_seconds_count", "query: sum(rate(other_count", 17, "from all of them"),
        ("service: shop", "service: ../../etc/shop", 2, "not a name that OpenSLO accepts"),
        ("service: shop", "service: Shop API", 2, "not a name that OpenSLO accepts"),
        ("name: latency", "name: ../latency", 13, "not a name that OpenSLO accepts"),
        ("name: latency", "name: Requests-Availability", 13, "as another SLO does"),
        ("error_query: sum(increase", "raw: x\n        error_query: sum(increase", 26, "only sli.events"),
    ],
)
def test_what_cannot_be_counted_is_refused(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    (tmp_path / "sloth.yml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as refused:
        importing.convert(tmp_path / "sloth.yml")
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'sloth.yml'}:{line}: "), refused.value


COUNTED = "sum_over_time((count({}))[{{{{.window}}}}:])"


@pytest.mark.parametrize(
    ("bad", "total", "works"),
    [
        ("x < 0.5", "x", True),
        ("x < 0.5) or vector(0", "x", True),
        ("x < bool 0.5", "x", False),
        ("x < 0.5) or count(y < 0.5", "x", False),
        ("x < 0.5", "x) or count(y", False),
        ('x{p="[{{.window}}]"} < 0.5', 'x{p="[{{.window}}]"}', True),
    ],
)
def test_samples_of_a_gauge_are_counted_where_that_is_all_that_is_asked(
    tmp_path: Path, bad: str, total: str, works: bool
) -> None:
    """Half of what is counted would be another objective."""
    slo = {
        "name": "wifi",
        "objective": 95,
        "sli": {"events": {"error_query": COUNTED.format(bad), "total_query": COUNTED.format(total)}},
    }
    file = tmp_path / "sloth.yml"
    file.write_text(yaml.safe_dump({"version": "prometheus/v1", "service": "home", "slos": [slo]}))
    if works:
        [document] = importing.convert(file).documents.values()
        metric = document["spec"]["indicator"]["spec"]["thresholdMetric"]["metricSource"]
        assert metric["spec"]["query"] == total
        assert document["spec"]["objectives"][0]["op"] == "gte"
    else:
        with pytest.raises(ConfigurationError, match="computes something"):
            importing.convert(file)


def test_two_documents_of_one_file_do_not_overwrite_each_other(tmp_path: Path) -> None:
    other = GOOD.replace("service: shop", "service: shop-all").replace("name: all", "name: other")
    both = GOOD.replace("name: latency", "name: all-latency") + "---\n" + other
    (tmp_path / "sloth.yml").write_text(both)
    with pytest.raises(ConfigurationError, match=r"becomes shop-all-latency\.yaml, as another SLO"):
        importing.convert(tmp_path / "sloth.yml")


@pytest.mark.parametrize("out", ["file/objectives", "file"])
def test_where_nothing_can_be_written_is_said(tmp_path: Path, out: str) -> None:
    (tmp_path / "sloth.yml").write_text(GOOD)
    (tmp_path / "file").write_text("")
    arguments = ["slo", "import", str(tmp_path / "sloth.yml"), "--out", str(tmp_path / out)]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert isinstance(done.exception, ConfigurationError | click.UsageError)
    assert str(tmp_path / "file") in str(done.exception)
