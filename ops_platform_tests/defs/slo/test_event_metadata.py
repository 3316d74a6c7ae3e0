"""What an hour's event holds of many objectives: no more than can be kept of every hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg

from ops_platform import files
from ops_platform.defs.slo import event_metadata
from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.objectives import Objective, openslo
from ops_platform.slo.reporting import Figure, Tally

END = datetime(2026, 5, 1, 12, tzinfo=UTC)
[ONE] = [
    one
    for one in openslo.load_directory(files.default_config_dir() / "objectives")
    if one.id == "api-availability"
]
MET = WindowCount(END, 3600, 1000, 1000, None, "f" * 64, 240, 240, 0)
BREACHED = replace(MET, good=900)
BOUNDED = replace(MET, good=None, total=None, reason="a target | failed", bounds=Bounds(900, 1000, 0, 40))


def many(number: int) -> list[Objective]:
    return [replace(ONE, service=f"s{index % 50}", name=f"availability-{index}") for index in range(number)]


def size(metadata: dict[str, dg.MetadataValue]) -> int:
    return sum(len(key) + len(str(value.value)) for key, value in metadata.items())


def test_of_many_only_what_is_not_met_and_little_of_it() -> None:
    every = many(500)
    calm = event_metadata.of_hour(dict.fromkeys(every, MET))
    assert size(calm) < 2_000
    assert calm["service s7"].value == "10 are met."
    one = event_metadata.of_hour({**dict.fromkeys(every, MET), every[7]: BREACHED})
    assert "availability-7 | breached | 100 | 1000 |" in str(one["service s7"].value)
    assert str(one["service s7"].value).endswith("9 are met.")
    alike = [replace(each, service="s") for each in every]
    storm = event_metadata.of_hour(dict.fromkeys(alike, BOUNDED))
    assert str(storm["service s"].value).endswith("480 more are not met.")
    assert size(storm) < 5_000


def test_what_is_not_known_has_its_bounds_and_its_reason() -> None:
    table = str(event_metadata.of_hour({ONE: BOUNDED})["service api"].value)
    assert "| undecided | 0 to 40 |  |" in table
    assert r"a target \| failed" in table


def test_figures_of_many_are_those_of_their_own_periods() -> None:
    tally = Tally(900, 1000, 720, 0)
    figures = [Figure(window, END, 3600, tally, "critical", "breached") for window in ("1d", "7d", "30d")]
    every = event_metadata.of_figures(dict.fromkeys(many(500), figures))
    assert str(every["service s1"].value).count("breached") == 10
    assert size(every) < 60_000
