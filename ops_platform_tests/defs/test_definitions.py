"""The definitions are those that run history, saved links and installed configuration know."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from ops_platform_tests.defs import seen_by_dagster

HOW_TO_RENEW = "where that is meant, write the snapshot anew: see seen_by_dagster.py"
SNAPSHOT = Path(__file__).parent / "definitions.json"


@functools.cache
def seen_now() -> dict[str, Any]:
    return dict(json.loads(seen_by_dagster.rendered()))


@pytest.mark.parametrize("section", ["jobs", "assets", "checks", "schedules", "sensors", "resources"])
def test_dagster_sees_what_it_saw(section: str) -> None:
    known = json.loads(SNAPSHOT.read_text(encoding="utf-8"))[section]
    now = seen_now()[section]
    assert sorted(now) == sorted(known), f"a name has come or gone: {HOW_TO_RENEW}"
    changed = {name: (known[name], now[name]) for name in known if known[name] != now[name]}
    assert changed == {}, HOW_TO_RENEW


def test_the_snapshot_knows_every_kind() -> None:
    known = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert {section: bool(names) for section, names in known.items()} == dict.fromkeys(known, True)
    assert known["jobs"]["backup_full"]["ops"]["preflight"]
