"""The table of docs/slo.md that says when our alerts fire and when Sloth's do is what a Prometheus says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops_platform_tests.slo.objectives import alert_timing

DOCUMENT = Path(__file__).parents[3] / "docs" / "slo.md"
MINUTES = 2
"""Prometheus 2 and 3 differ by a sample at the left edge of a range."""
CELL = re.compile(r"(\d+(?:\.\d)?) (min|h)")


@pytest.mark.services
@pytest.mark.full
def test_the_alerts_fire_when_the_document_says_and_when_sloths_do(tmp_path: Path) -> None:
    found = alert_timing.told(tmp_path)
    rows = alert_timing.table(found)
    document = DOCUMENT.read_text(encoding="utf-8").splitlines()
    for row in rows:
        [name, *cells] = row.strip("| ").split(" | ")
        [written] = [line for line in document if line.startswith(f"| {name} | ")]
        for cell, other in zip(cells, written.strip("| ").split(" | ")[1:], strict=True):
            assert minutes(cell) == pytest.approx(minutes(other), abs=MINUTES, rel=0.02), (row, written)
    for name, one in found.items():
        for ours, theirs in ((one.page, one.sloth_page), (one.ticket, one.sloth_ticket)):
            # Of a service with traffic, whatever Sloth tells is told, and hardly later.
            assert "events" in name or theirs is None or (ours is not None and ours <= theirs + 5), name


def minutes(cell: str) -> float:
    if cell == "never":
        return -1000
    match = CELL.fullmatch(cell)
    assert match is not None, cell
    return float(match[1]) * (60 if match[2] == "h" else 1)
