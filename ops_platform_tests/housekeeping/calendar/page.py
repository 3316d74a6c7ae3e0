"""The calendar's page of the documents, from its definitions.

``python -m ops_platform_tests.housekeeping.calendar.page`` writes the page anew.
"""

from __future__ import annotations

from pathlib import Path

from ops_platform import files, markdown
from ops_platform.housekeeping.calendar import BY_HAND, PERIODS, Calendar, load_calendar
from ops_platform.housekeeping.calendar.evidence import EVIDENCE

PAGE = Path(__file__).parents[3] / "docs" / "calendar.md"
START = "<!-- made from calendar.yaml -->"
END = "<!-- end -->"


def table(calendar: Calendar) -> str:
    """What is to be done, by cadence, and what shows that it was done."""
    parts = []
    for every in PERIODS:
        rows = [
            (
                f"`{name}`",
                duty.what,
                "somebody says so: `ops-platform duty done`"
                if duty.evidence == BY_HAND
                else EVIDENCE[duty.evidence].looks_for
                + (", each stanza" if EVIDENCE[duty.evidence].per_stanza else ""),
            )
            for name, duty in calendar.duties.items()
            if duty.every == every
        ]
        if rows:
            parts.append(
                f"### Every {every}\n\n{markdown.table(('duty', 'what', 'it is done when there is'), rows)}"
            )
    return "\n\n".join(parts)


def page(text: str) -> str:
    """The page with its tables anew."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{table(load_calendar(files.default_config_dir()))}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
