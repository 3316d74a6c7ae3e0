"""Retention on a real repository: a dry run first, never the last chain, never a set in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest

from ops_platform.backup.monitoring import archiver
from ops_platform.backup.monitoring.observation import Observation
from ops_platform.backup.recovery_point.rpo import best_state
from ops_platform.backup.retention import cleanup
from ops_platform.backup.retention.cleanup import CleanupPlan
from ops_platform.backup.stanza import locks, pgbackrest_conf
from ops_platform.backup.stanza.context import BackupContext
from ops_platform.clients.pgbackrest import ArchiveRange
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform_tests.backup.shapes import GEOMETRY, archive, entry, repository
from ops_platform_tests.backup.site import Site, silent, take


@pytest.fixture
def one_full_only(backed_up: Site, tmp_path: Path) -> BackupContext:
    """The same stanza under a policy of one full: days cannot pass in a test."""
    context = backed_up.context
    assert context.configuration is not None
    text = context.configuration.replace("full-type=time", "full-type=count").replace("full=35", "full=1")
    path = context.paths.config_file.with_name(f"one-full-{tmp_path.name}.conf")
    pgbackrest_conf.write(path, text, context.settings.run_as)
    return replace(context, pgbackrest=replace(context.pgbackrest, config_file=path))


@pytest.fixture
def newest_is_another_full(backed_up: Site) -> None:
    take(backed_up, "full")


@pytest.mark.services
def test_the_policy_of_35_days_lets_nothing_of_today_go(backed_up: Site) -> None:
    plan = cleanup.plan(backed_up.context)
    known = backed_up.labels()
    # What a killed run left unfinished is no set, and goes under any policy.
    assert not set(plan.expired) & set(known)
    assert plan.kept == tuple(known)
    assert cleanup.apply(backed_up.context, plan, operation_id=str(uuid4()), log=silent) == plan


@pytest.mark.services
def test_old_sets_go_and_the_newest_chain_stays(
    backed_up: Site, one_full_only: BackupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(backed_up, "full")
    take(backed_up, "incremental")
    before = backed_up.labels()

    plan = cleanup.plan(one_full_only)
    assert backed_up.labels() == before
    assert plan.expired
    assert plan.kept == tuple(before[-2:])
    assert ", ".join(plan.expired) in plan.summary

    monkeypatch.setattr(cleanup, "IN_USE_SECONDS", 0.5)
    with (
        locks.sets_in_use(backed_up.context.ops_url, backed_up.name, 1, silent),
        pytest.raises(Unavailable, match="the lock sets/"),
    ):
        cleanup.apply(one_full_only, plan, operation_id=str(uuid4()), log=silent)
    assert backed_up.labels() == before

    run = str(uuid4())
    done = cleanup.apply(one_full_only, plan, operation_id=run, log=silent)
    assert (done.expired, done.kept) == (plan.expired, plan.kept)
    assert backed_up.labels() == list(plan.kept)
    assert backed_up.audit(run) == [("intent", None), ("outcome", "success")]


def seen(*numbers: int, newest_is_damaged: bool) -> Observation:
    sets = (entry(1), entry(2, segments=(6, 6), error=newest_is_damaged))
    found, whole = repository(*sets), archive(*numbers)
    return Observation(found, whole, whole.state_from(sets[0]["archive"]["start"]), best_state(found, whole))


def plan_of(expired: tuple[int, ...], ranges: tuple[tuple[int, int], ...] = ()) -> CleanupPlan:
    labels = {number: entry(number)["label"] for number in (1, 2)}
    names: Callable[[int], str] = lambda number: f"{1:08X}{0:08X}{number:08X}"  # noqa: E731
    return CleanupPlan(
        "product",
        tuple(labels[number] for number in expired),
        tuple(label for number, label in labels.items() if number not in expired),
        tuple(ArchiveRange("15-1", names(first), names(last)) for first, last in ranges),
    )


@pytest.mark.parametrize(
    ("numbers", "damaged", "expired", "ranges", "leaves"),
    [
        ((3, 4, 5, 6), False, (1,), ((3, 5),), True),
        ((3, 4, 5, 6), True, (1,), ((3, 5),), False),
        ((3, 4, 5), False, (1,), ((3, 5),), False),
        ((3, 4, 5, 6), False, (1,), ((3, 6),), False),
        ((3, 4, 5, 6), False, (1, 2), (), False),
        ((3, 4, 5, 6), True, (2,), (), True),
    ],
)
def test_the_last_restorable_chain_is_recognised(
    numbers: tuple[int, ...],
    damaged: bool,
    expired: tuple[int, ...],
    ranges: tuple[tuple[int, int], ...],
    leaves: bool,
) -> None:
    assert GEOMETRY.per_log == 256
    found = seen(*numbers, newest_is_damaged=damaged)
    assert cleanup.leaves_restorable_set(found, plan_of(expired, ranges)) is leaves


def test_nothing_goes_while_no_set_can_be_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    found = replace(seen(3, 4, 5, 6, newest_is_damaged=True), best=None)
    lines: list[str] = []
    ctx = cast(
        BackupContext,
        SimpleNamespace(
            stanza=SimpleNamespace(name="product"),
            pgbackrest=SimpleNamespace(expire=lambda **_: lines),
        ),
    )
    monkeypatch.setattr(archiver, "ask", lambda ctx: None)
    monkeypatch.setattr(archiver, "written", lambda asked, now: None)
    monkeypatch.setattr(cleanup, "observe", lambda ctx, **_: found)
    assert cleanup.plan(ctx).expired == ()
    lines.append(f"repo1: remove expired backup {entry(1)['label']}")
    with pytest.raises(CheckFailed, match=r"would go.*none of the sets can be restored"):
        cleanup.plan(ctx)


@pytest.mark.services
@pytest.mark.usefixtures("newest_is_another_full", "wal_object_removed")
def test_a_plan_that_would_leave_nothing_is_refused(one_full_only: BackupContext) -> None:
    """The newest full lost its WAL: the older chain is the last one, whatever the policy says."""
    with pytest.raises(CheckFailed, match="the last chain that can be restored would be among them"):
        cleanup.plan(one_full_only)
