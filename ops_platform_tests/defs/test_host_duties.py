"""Code locations of several hosts: together they are the whole, and nothing is in two of them."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from typing import Any

import pytest

from ops_platform.definitions import build_defs
from ops_platform.errors import ConfigurationError
from ops_platform.settings import DUTIES, load_settings
from ops_platform_tests.defs import seen_by_dagster

Host = tuple[str, str]
"""OPS_DUTIES and OPS_STANZAS; empty: all."""
BY_DUTY = tuple((duty, "") for duty in DUTIES)
BY_STANZA = (("backup,dr,gdpr", "product"), ("backup,dr,slo,housekeeping", "ops"))
EXERCISES_ON_A_THIRD = (
    ("backup,gdpr", "product"),
    ("backup,slo,housekeeping", "ops"),
    ("dr", "product,ops"),
)
SPLITS = [BY_DUTY, BY_STANZA, EXERCISES_ON_A_THIRD]
OF_A_HOST = {"dr_catalogue_changes", "scratch_cluster_janitor", "lost_retries"}
"""Sensors of each host: they look at its scratch directories, stanzas and jobs alone."""


@functools.cache
def seen(host: Host = ("", "")) -> dict[str, Any]:
    duties, stanzas = host
    settings = load_settings({"OPS_STATE_DIR": "/nonexistent", "OPS_DUTIES": duties, "OPS_STANZAS": stanzas})
    return seen_by_dagster.seen(build_defs(settings))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("section", ["assets", "checks", "schedules"])
def test_all_of_it_is_defined_once(split: tuple[Host, ...], section: str) -> None:
    parts = [seen(host)[section] for host in split]
    for one, other in itertools.combinations(parts, 2):
        assert one.keys().isdisjoint(other)
    assert functools.reduce(lambda all_of, part: all_of | part, parts, {}) == seen()[section]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("section", ["jobs", "sensors"])
def test_jobs_of_a_host_and_its_sensors_are_on_each_and_all_others_once(
    split: tuple[Host, ...], section: str
) -> None:
    parts = [seen(host)[section] for host in split]
    assert functools.reduce(lambda all_of, part: all_of | part, parts, {}).keys() == seen()[section].keys()
    twice = {name for name, times in Counter(name for part in parts for name in part).items() if times > 1}
    if section == "sensors":
        assert twice <= OF_A_HOST
    else:
        of_all = {name for name in twice if not name.startswith("__")}
        assert {seen()["jobs"][name]["run_tags"]["duty"] for name in of_all} <= {"backup", "dr"}
    assert sum("run_failures" in part["sensors"] for part in map(seen, split)) == 1


def test_a_host_knows_its_own_stanzas_alone() -> None:
    database_host = seen(("backup,dr", "product"))
    assert not any("ops" in name.split("/") for name in database_host["assets"])
    assert not any(name.endswith("_ops") for name in database_host["schedules"])
    assert not {"run_failures", "gdpr_erasure_requests"} & database_host["sensors"].keys()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OPS_STANZAS": "product,shop"}, "OPS_STANZAS: backups.yaml has no stanza 'shop'"),
        ({"OPS_DUTIES": "backup,exports"}, "OPS_DUTIES: input should be 'backup', 'dr', 'slo', 'gdpr' or"),
    ],
)
def test_a_host_that_is_none_of_ours_is_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build_defs(load_settings({"OPS_STATE_DIR": "/nonexistent", **variables}))
    assert str(refused.value).startswith(said)
