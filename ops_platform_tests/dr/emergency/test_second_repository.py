"""Two repositories on two endpoints: each is proved by itself, and restored from when the other is gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ops_platform.backup.monitoring import health
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform.backup.proof import rolling
from ops_platform.backup.repository import place_token
from ops_platform.backup.retention import cleanup, version_pruning
from ops_platform.backup.stanza import BackupContext, pgbackrest_conf
from ops_platform.backup.stanza.context import open_context
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.emergency import judgement, other_repository
from ops_platform.dr.emergency import restore_command as break_glass
from ops_platform.dr.exercise import runner
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.restore import past_repository
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform_tests.backup.site import Site, silent, take
from ops_platform_tests.dr.practice import archive_now, make_demo_site, strike
from ops_platform_tests.services import short_directory

if TYPE_CHECKING:
    from ops_platform.local.servers.object_store_server import ObjectStoreServer
    from ops_platform_tests.services import Services

pytestmark = [pytest.mark.services, pytest.mark.full, pytest.mark.timeout(600)]

STALL_SECONDS = 240
"""Within this long WAL goes on into one repository while the other is away, also on a busy machine."""


@dataclass(frozen=True)
class Sites:
    """One cluster, seen with each of its two repositories."""

    first: Site
    second: Site


@pytest.fixture(scope="module")
def sites(make_site: Callable[..., Site]) -> Iterator[Sites]:
    with pytest.MonkeyPatch.context() as patch:
        # A store that is away is known to be after 16 s instead of 41.
        patch.setattr(pgbackrest_conf, "ARCHIVER_IO_SECONDS", 2)
        first = make_demo_site(lambda **options: make_site(second_repository=True, **options))
        assert first.context.whole is not None
        second = replace(first, context=open_context(first.context.whole[0], f"{first.name}@offsite"))
        take(first, "full")
        take(second, "full")
        strike(first, 2)
        archive_now(first)
        yield Sites(first, second)


@pytest.fixture
def second_away(sites: Sites, services: Services) -> Iterator[None]:
    services.kill_second_object_store()
    yield
    services.restart_second_object_store()


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


def test_the_first_store_by_another_name_is_no_second_repository(
    sites: Sites, object_store: ObjectStoreServer
) -> None:
    """By ``localhost``, with other keys of the same bucket, as nobody's settings can tell."""
    place_token.require_own(sites.second.context, is_in_use=True, log=refuse_to_log)
    settings = sites.first.context.settings
    endpoint = f"https://localhost:{object_store.ports['s3']}"
    alias = settings.model_copy(update={"s3": settings.s3.model_copy(update={"endpoint_url": endpoint})})
    same = replace(sites.second.context, settings=alias)
    with pytest.raises(ConfigurationError, match="primary and offsite are one place by two names"):
        place_token.require_own(same, is_in_use=True, log=refuse_to_log)


def refuse_to_log(line: str) -> None:
    raise AssertionError(line)


def test_an_exercise_restores_from_the_second(sites: Sites) -> None:
    name, run = sites.second.name, str(uuid4())
    request = ExerciseRequest("manual", name, "latest", run, run, 1_800_000, 900_000)
    outcome = runner.run(sites.second.context, request, silent, silent)
    assert (outcome.result, outcome.reason) == ("success", None)
    assert outcome.backup_label == sites.second.labels()[0]


def under_policy_of_one_full(ctx: BackupContext) -> BackupContext:
    """The same, since days cannot pass in a test."""
    text = ctx.pgbackrest.config_file.read_text(encoding="utf-8")
    text = re.sub(
        r"full-type=time", "full-type=count", re.sub(r"retention-full=\d+", "retention-full=1", text)
    )
    path = ctx.pgbackrest.config_file.with_name("one-full.conf")
    pgbackrest_conf.write(path, text, ctx.settings.run_as)
    return replace(ctx, pgbackrest=replace(ctx.pgbackrest, config_file=path))


def test_the_second_is_cleaned_pruned_stolen_and_read_as_it_was(sites: Sites) -> None:
    """Each works on its own sets, bucket and keys, and leaves those of the first alone."""
    second, of_first = sites.second, sites.first.labels()
    run, moment = str(uuid4()), datetime.now(UTC)
    request = ExerciseRequest("manual", second.name, "stolen_key", run, run, 1_800_000, 900_000)
    stolen = runner.run(second.context, request, silent, silent)
    assert (stolen.result, stolen.reason) == ("success", None)
    assert stolen.backup_label == second.labels()[0]

    take(second, "full")
    old, new = second.labels()
    keeps_one = under_policy_of_one_full(second.context)
    plan = cleanup.plan(keeps_one)
    assert cleanup.apply(keeps_one, plan, operation_id=run, log=silent).expired == (old,)
    assert second.labels() == [new]
    assert second.audit(run)[-2:] == [("intent", None), ("outcome", "success")]
    pruned = version_pruning.prune(second.context, datetime.now(UTC), operation_id=run, log=silent)
    assert (pruned.by_lifecycle, pruned.removed) == (False, 0), "all of it is locked"

    # As it was before the cleanup.
    past = past_repository.from_settings(second.context, moment)
    with break_glass.open_workspace(second.context, short_directory() / "data") as here:
        told = break_glass.explain(
            second.context, here, RecoveryTarget.latest(), None, datetime.now(UTC), repository=past
        )
        assert told.plan.backup_set.label == old
        known = judgement.knowledge(second.context, told, silent, moment)
        done = break_glass.carry_out(
            second.context, here, known, datetime.now(UTC), silent, silent, repository=past
        )
    assert {result.name: result.summary for result in done.results if result.result == "fail"} == {}
    assert judgement.judge(done).restored
    assert sites.first.labels() == of_first


@pytest.mark.usefixtures("second_away")
def test_while_the_second_is_away_the_first_gets_wal(sites: Sites) -> None:
    before = newest_segment(sites.first)
    strike(sites.first)
    with sites.first.cluster.superuser() as superuser:
        superuser.execute("SELECT pg_switch_wal()")
    wait_until(lambda: newest_segment(sites.first) > before, STALL_SECONDS, "the first gets the segment")
    assert failing(sites.first).keys() <= {"archiver_healthy"}
    # Nothing of the second is known, so nothing of it passes.
    assert len(failing(sites.second)) == len(health.WAL_VERDICTS) + 1
    with pytest.raises(Unavailable, match="correct OPS_REPO2_S3_ENDPOINT_URL"):
        stanza_status(sites.second.context)


def test_without_the_first_all_comes_from_the_second(sites: Sites, object_store: ObjectStoreServer) -> None:
    # What the second has missed is there again.
    archive_now(sites.first)
    assert newest_segment(sites.second) == newest_segment(sites.first)
    thief, bucket = object_store.client("backup"), object_store.bucket("backup")
    for prefix in (f"pgbackrest/{place}/{sites.first.cluster.name}/" for place in ("backup", "archive")):
        for page in thief.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for stored in page.get("Contents", []):
                thief.delete_object(Bucket=bucket, Key=stored["Key"])
    assert {"archive_contiguous", "sets_accounted_for", "fresh"} <= failing(sites.first).keys()
    assert failing(sites.second) == {}

    latest, target = RecoveryTarget.latest(), short_directory() / "data"
    now, first, second = datetime.now(UTC), sites.first.context, sites.second.context
    with break_glass.open_workspace(first, target) as here, pytest.raises(OpsError):
        break_glass.explain(first, here, latest, None, now)
    wanted = other_repository.Wanted(target, latest, "--latest")
    advice = other_repository.advice(first, wanted, now)
    assert advice == (
        f"the repository offsite can do it, from set {sites.second.labels()[0]}: run ops-platform restore "
        f"--stanza {sites.first.name} --repository offsite --to {target} --latest"
    )
    assert str(other_repository.advice(second, wanted, now)).startswith("nor can it be restored from")

    with break_glass.open_workspace(second, target) as here:
        explanation = break_glass.explain(second, here, latest, None, now)
        known = judgement.knowledge(second, explanation, silent)
        done = break_glass.carry_out(second, here, known, now, silent, silent)
    assert {result.name: result.summary for result in done.results if result.result == "fail"} == {}
    assert judgement.judge(done).restored
    assert done.newest_beat is not None
