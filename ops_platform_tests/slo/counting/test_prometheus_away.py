"""A source that does not answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops_platform import files
from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import Unavailable
from ops_platform.slo.counting import event_count as counting
from ops_platform.slo.objectives import openslo


def test_prometheus_away_is_one_line() -> None:
    objectives = openslo.load_directory(files.default_config_dir() / "objectives")
    end = datetime(2026, 5, 4, 12, tzinfo=UTC)
    source = Prometheus("http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="cannot reach Prometheus") as refused:
        counting.count(source, objectives, [end - timedelta(hours=6), end], end + timedelta(hours=1))
    assert "\n" not in str(refused.value)
