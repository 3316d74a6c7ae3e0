"""SQL of the seed: its steps in order and their parameters. The text is in ``sql/demo/seed``.

A step is one file and one transaction; the first file creates temporary functions. Row n of a table
is a function of n and the plan alone, and every column whose default could differ between two runs
gets a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops_platform import files
from ops_platform.local.demo import people
from ops_platform.local.demo.seed.plan import BASE_TIME, CREATORS_WITH_OBJECTS, MONTHS, Plan

SENTENCES = (
    "The light in the valley turned from grey to copper within a minute.",
    "We tried the recipe again with half the salt and twice the patience.",
    "Nobody had expected the rehearsal to last until the first tram.",
    "A short list of what went wrong is more useful than a long apology.",
    "The second draft is where the story finds out what it is about.",
    "Three microphones, one cable, and a room that sounds like a bathroom.",
    "I keep the failed prints in a drawer and look at them every spring.",
    "The map was right about the path and wrong about the bridge.",
    "Start slowly, count aloud, and let the others find you.",
    "Most of the work was waiting for the glaze to cool.",
    "What looked like a bug in the shader was a smudge on the lens.",
    "The market opens at six and the good tomatoes are gone by seven.",
    "There is a version of this essay without adjectives; it is better.",
    "We changed the tuning and the whole song moved to another country.",
    "The archive smelled of dust, glue and somebody's forgotten orange.",
    "Draw the shadow first and the hand will follow.",
    "It took four people and a borrowed van to move the loom.",
    "Readers asked for the pattern, so here it is, with corrections.",
    "The river was two metres higher than on the photograph.",
    "If the dough does not stick to your hands it is too dry.",
    "The interview is long; the part about the lighthouse is at the end.",
    "I promised not to buy another lens and kept the promise for a week.",
    "All measurements are in centimetres unless the drawing says otherwise.",
    "The choir sang the last verse without the conductor.",
    "A good caption says what the picture cannot.",
    "We recorded the rain on the roof and used it as a drum.",
    "Turn the page upside down and the composition falls apart.",
    "Everything below the horizon was painted on the first day.",
    "The translation keeps the rhythm and loses the joke.",
    "Next month we will look at hinges, springs and other small miracles.",
    "Thank you to everybody who wrote; the answers are in the comments.",
    "The bicycle survived, the sandwiches did not.",
)
SUBJECTS = (
    "Notes on light", "A slow recipe", "Field recording", "Second drafts", "The borrowed loom",
    "Maps that lie", "Ink and water", "Songs for trams", "Winter garden", "On captions", "Bread, again",
    "A room of echoes",
)  # fmt: skip
TAGS = ("craft", "music", "food", "travel", "photo", "essay", "garden", "code")
CITIES = ("Lyon", "Accra", "Bergen", "Quito", "Izmir", "Montréal", "Nairobi", "Osaka", "Porto", "Tallinn")
COUNTRIES = ("FR", "GH", "NO", "EC", "TR", "CA", "KE", "JP", "PT", "EE")
BROWSERS = ("Firefox/140.0", "Chrome/141.0", "Safari/18.4", "Mobile/2.11")

FUNCTIONS = "00_functions"
_TABLES = (
    "01_creators_and_posts",
    "02_profiles",
    "03_billing_details",
    "04_follows",
    "05_sessions",
    "06_comments",
    "07_media",
    "08_collaborations",
    "09_workflows",
    "10_webhooks",
    "11_usage_logs",
    "12_audit_logs",
    "13_ledger_entries",
    "14_creator_stats",
)
_MONTHLY = "11_usage_logs"


@dataclass(frozen=True)
class Step:
    """One file, and for a monthly one its month (0 ..). ``name`` is that of its marker."""

    name: str
    file: str
    month: int = 0


def steps() -> tuple[Step, ...]:
    """List all steps in order: each table's file once, the monthly one for each month."""
    ordered: list[Step] = []
    for file in _TABLES:
        name = file.partition("_")[2]
        if file == _MONTHLY:
            ordered += [Step(f"{name} {month + 1:02}", file, month) for month in range(MONTHS)]
        else:
            ordered.append(Step(name, file))
    return tuple(ordered)


def text(file: str) -> str:
    """Read the statements of one file, with psycopg's named placeholders."""
    return (files.carried("sql") / "demo" / "seed" / f"{file}.sql").read_text(encoding="utf-8")


def month_start(month: int) -> datetime:
    """Compute the first moment of a month (0 ..) of seeded usage logs."""
    index = BASE_TIME.year * 12 + BASE_TIME.month - 1 - MONTHS + month
    return BASE_TIME.replace(year=index // 12, month=index % 12 + 1)


def parameters(plan: Plan, month: int = 0) -> dict[str, Any]:
    """Make all parameters that the files name."""
    short, long = people.PREFIX_PAIR
    return plan.parameters() | {
        "base": int(BASE_TIME.timestamp()),
        "short": short,
        "long": long,
        "firsts": len(people.FIRST_NAMES),
        "lasts": len(people.LAST_NAMES),
        "first_names": list(people.FIRST_NAMES),
        "last_names": list(people.LAST_NAMES),
        "first_slugs": [people.slug(name) for name in people.FIRST_NAMES],
        "last_slugs": [people.slug(name) for name in people.LAST_NAMES],
        "domains": list(people.MAIL_DOMAINS),
        "domain_count": len(people.MAIL_DOMAINS),
        "sentences": list(SENTENCES),
        "sentence_count": len(SENTENCES),
        "subjects": list(SUBJECTS),
        "subject_count": len(SUBJECTS),
        "tags": list(TAGS),
        "tag_count": len(TAGS),
        "cities": list(CITIES),
        "countries": list(COUNTRIES),
        "city_count": len(CITIES),
        "browsers": list(BROWSERS),
        "browser_count": len(BROWSERS),
        "others": plan.creators - plan.heavy,
        "with_objects": CREATORS_WITH_OBJECTS,
        "month": month,
        "months": MONTHS,
        "month_start": month_start(month),
        "month_seconds": (month_start(month + 1) - month_start(month)) // timedelta(seconds=1),
    }
