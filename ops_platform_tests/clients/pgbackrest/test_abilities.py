"""Which pgBackRest reads a bucket as it was, and with which options."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from ops_platform.clients.pgbackrest import PgBackRest, abilities


@pytest.mark.parametrize(
    ("version", "longest", "obstacle"),
    [
        ((2, 45), 1, "pgBackRest 2.45 cannot read versions"),
        ((2, 53), 1, "pgBackRest 2.53 cannot read versions"),
        ((2, 54), 1000, None),
        ((2, 55), 1001, "pgBackRest 2.55 cannot list more than 1000 versions of one folder"),
        ((2, 59), 1001, "pgBackRest 2.59 cannot list more than 1000 versions of one folder"),
        ((2, 60), 100_000, None),
    ],
)
def test_who_reads_versions(version: tuple[int, int], longest: int, obstacle: str | None) -> None:
    assert abilities.obstacle_to_reading_past(version, longest) == obstacle


def test_the_moment_goes_with_every_command_in_whole_seconds_of_utc() -> None:
    plain = PgBackRest("pgbackrest", Path("/c"), "product")
    assert plain.options == ["--config=/c", "--stanza=product"]
    moment = datetime(2026, 1, 31, 15, 5, 9, 999_999, timezone(timedelta(hours=1)))
    past = PgBackRest("pgbackrest", Path("/c"), "product", as_of=moment)
    assert past.options[2:] == ["--repo=1", "--repo-target-time=2026-01-31 14:05:09+00"]
    assert abilities.past_options(moment.astimezone(UTC)) == past.options[2:]
