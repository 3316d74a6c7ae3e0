"""Two repositories on two endpoints: each is proved by itself, and an exercise restores from either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from ops_platform.backup.monitoring import health
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform.backup.proof import rolling
from ops_platform.backup.stanza.context import open_context
from ops_platform.dr.exercise import runner
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform_tests.backup.site import Site, silent, take
from ops_platform_tests.dr.practice import archive_now, make_demo_site, strike

pytestmark = [pytest.mark.services, pytest.mark.full, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Sites:
    """One cluster, seen with each of its two repositories."""

    first: Site
    second: Site


@pytest.fixture(scope="module")
def sites(make_site: Callable[..., Site]) -> Sites:
    first = make_demo_site(lambda **options: make_site(second_repository=True, **options))
    assert first.context.whole is not None
    second = replace(first, context=open_context(first.context.whole[0], f"{first.name}@offsite"))
    take(first, "full")
    take(second, "full")
    strike(first, 2)
    archive_now(first)
    return Sites(first, second)


def failing(site: Site) -> dict[str, str]:
    return {
        verdict.name: verdict.summary
        for verdict in health.examine(site.context, datetime.now(UTC))
        if not verdict.passed
    }


def newest_segment(site: Site) -> str:
    newest: str = stanza_status(site.context)["archive"]["newest_segment"]
    return newest


def test_each_has_its_own_sets_and_all_wal(sites: Sites) -> None:
    labels = sites.first.labels(), sites.second.labels()
    assert [len(of_one) for of_one in labels] == [1, 1]
    assert labels[0] != labels[1]
    assert newest_segment(sites.first) == newest_segment(sites.second)
    assert (failing(sites.first), failing(sites.second)) == ({}, {})
    statuses = [stanza_status(site.context) for site in (sites.first, sites.second)]
    assert [(one["stanza"], one["repository"]) for one in statuses] == [
        (sites.first.name, "primary"),
        (f"{sites.first.name}@offsite", "offsite"),
    ]
    assert [one["notes"] for one in statuses] == [[], []]
    for site in (sites.first, sites.second):
        read = rolling.run(site.context, silent)
        assert (read.complete, read.damage) == (True, ())
        assert read.objects > 2
        assert stanza_status(site.context)["unverified_bytes"] == 0


def test_an_exercise_restores_from_the_second(sites: Sites) -> None:
    name, run = sites.second.name, str(uuid4())
    request = ExerciseRequest("manual", name, "latest", run, run, 1_800_000, 900_000)
    outcome = runner.run(sites.second.context, request, silent, silent)
    assert (outcome.result, outcome.reason) == ("success", None)
    assert outcome.backup_label == sites.second.labels()[0]
