"""Links are kept for ever in Dagster's events: they hold no secret."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops_platform.slo.reporting import graph_url

AT = datetime(2026, 1, 31, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:9090/", "http://127.0.0.1:9090/graph?"),
        ("https://me:hush-hush@mimir.example/prometheus", "https://mimir.example/prometheus/graph?"),
        ("https://[::1]:9090", "https://[::1]:9090/graph?"),
    ],
)
def test_a_link_leads_there_without_the_password(url: str, base: str) -> None:
    link = graph_url(url, 'up{job="a"}', AT, timedelta(hours=1))
    assert link.startswith(base)
    assert "hush-hush" not in link
    assert "g0.expr=up%7Bjob%3D%22a%22%7D" in link
