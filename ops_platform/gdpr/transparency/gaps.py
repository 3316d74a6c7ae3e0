"""What the law asks a controller to say and the map does not. Pure.

Notes, not findings: a missing address is no reason to refuse somebody's erasure.
"""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.map_check import Finding
from ops_platform.gdpr.transparency.disclosure import ASKED, unsaid


def notes(data_map: DataMap) -> list[Finding]:
    """List what is missing, in the order of the map's keys; none means that Art. 15 is answered."""
    return list(_notes(data_map))


def _notes(data_map: DataMap) -> Iterator[Finding]:
    if data_map.controller is None:
        yield Finding(
            "controller",
            "not-stated",
            "the map does not say who is responsible: exports and the record of processing leave out "
            f"the controller, {', '.join(name.replace('_', ' ') for name in ASKED)}: add it",
        )
        return
    for name in unsaid(data_map.controller):
        none = "'none'" if name == "dpo" else "an empty list where there is none"
        listed = name in ("dpo", "sources", "recipients", "third_countries", "automated_decisions")
        yield Finding(
            f"controller.{name}",
            "not-stated",
            f"is asked for by {ASKED[name]} GDPR, and the map does not say it: add it"
            + (f", or {none}" if listed else ""),
        )
