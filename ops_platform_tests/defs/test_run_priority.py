"""What begins first when more runs wait than may run at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from dagster._core.storage.tags import PRIORITY_TAG

from ops_platform import files
from ops_platform.defs import run_priority

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_near_deadlines_and_backups_go_before_exports_and_checks() -> None:
    order = [
        run_priority.of_request(NOW + timedelta(hours=24, seconds=-1), NOW),
        run_priority.BACKUP,
        run_priority.ERASURE,
        {},
        run_priority.EXPORT,
        run_priority.WHEN_IDLE,
    ]
    priorities = [int(tags.get(PRIORITY_TAG, "0")) for tags in order]
    assert priorities == sorted(set(priorities), reverse=True)
    assert run_priority.of_request(NOW + timedelta(hours=24), NOW) == {}
    late = run_priority.of_request(NOW - timedelta(hours=1), NOW)
    assert late.items() >= run_priority.BEFORE_ALL.items()
    assert {**run_priority.EXPORT, **late}[run_priority.LANE_TAG] != run_priority.EXPORT[
        run_priority.LANE_TAG
    ]


def test_dagster_s_own_variables_are_those_of_dagster_yaml_everywhere() -> None:
    said = dict(re.findall(r"^#   (DAGSTER_\w+) \((\w+)\)$", files.carried("dagster.yaml").read_text(), re.M))
    assert int(said["DAGSTER_GRPC_TIMEOUT_SECONDS"]) > 60
    root = Path(__file__).parents[2]
    production = (root / "docs" / "production.md").read_text(encoding="utf-8")
    embedded = (root / "ops_platform" / "local" / "environment.py").read_text(encoding="utf-8")
    for name, value in said.items():
        assert f"\n{name}={value}\n" in production
        assert f'"{name}": "{value}"' in embedded


def test_exports_cannot_fill_the_queue() -> None:
    runs = yaml.safe_load(files.carried("dagster.yaml").read_text(encoding="utf-8"))["concurrency"]["runs"]
    [lane] = [one for one in runs["tag_concurrency_limits"] if one["key"] == run_priority.LANE_TAG]
    assert run_priority.EXPORT[run_priority.LANE_TAG] == lane["value"]
    assert lane["limit"] < runs["max_concurrent_runs"] // 2
