"""Links into Prometheus' own pages, to see the samples that a number was counted from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from ops_platform.clients.safe_errors import address


def graph_url(prometheus: str, expression: str, end: datetime, span: timedelta) -> str:
    """Build the URL of a graph of ``expression`` over the ``span`` up to ``end``.

    Prometheus 3 redirects from /graph too. A user and password in the URL are left out: links are kept and
    shown.
    """
    query = {
        "g0.expr": expression,
        "g0.tab": "0",
        "g0.range_input": f"{round(span.total_seconds())}s",
        "g0.end_input": f"{end.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
    }
    return f"{address(prometheus.rstrip('/'))}/graph?{urlencode(query)}"
