"""The dashboards as JSON: the same bytes each time, ready for a diff."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ops_platform.grafana import gdpr, recovery, slo

PAGES = {"backup-and-dr": recovery.page, "gdpr": gdpr.page, "slo": slo.page}
"""File name without ``.json`` -> the function that makes its page."""


def render() -> dict[str, str]:
    """Render all dashboards: file name -> text."""
    return {
        f"{name}.json": json.dumps(page().dashboard(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
        for name, page in PAGES.items()
    }
