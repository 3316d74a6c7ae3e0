"""Links into Prometheus' own pages, to see the samples that a number was counted from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode


def graph_url(prometheus: str, expression: str, end: datetime, span: timedelta) -> str:
    """Build the URL of a graph of ``expression`` over the ``span`` up to ``end``.

    Prometheus 3 redirects from /graph too.
    """
    query = {
        "g0.expr": expression,
        "g0.tab": "0",
        "g0.range_input": f"{round(span.total_seconds())}s",
        "g0.end_input": f"{end.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
    }
    return f"{prometheus.rstrip('/')}/graph?{urlencode(query)}"
