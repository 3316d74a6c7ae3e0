"""A chain whose full lost its manifest: seen, named, refused; green after a full and a person's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ops_platform.agent.loops.reconnecting_session import ReconnectingSession
from ops_platform.agent.loops.window_watch import WindowWatch
from ops_platform.agent.metrics import WindowState
from ops_platform.backup.monitoring import accounts, health, observe
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform.backup.monitoring.verdict import Verdict
from ops_platform.backup.taking import execution
from ops_platform.errors import CheckFailed
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.backup.site import Done, Site, silent, take

pytestmark = [pytest.mark.services, pytest.mark.full]


@pytest.fixture(scope="module")
def chain(make_site: Callable[..., Site]) -> Site:
    """A site of its own with a full and an incremental."""
    site = make_site()
    take(site, "full")
    take(site, "incremental")
    return site


def lose_manifest(site: Site, object_store: ObjectStoreServer) -> str:
    label = next(backup_set.label for backup_set in site.repository().sets if backup_set.kind == "full")
    client, bucket = object_store.client("backup"), object_store.bucket("backup")
    for ending in ("", ".copy"):
        key = f"pgbackrest/backup/{site.name}/{label}/backup.manifest{ending}"
        client.delete_object(Bucket=bucket, Key=key)
    return label


def verdicts(site: Site) -> dict[str, Verdict]:
    return {verdict.name: verdict for verdict in health.examine(site.context, datetime.now(UTC))}


def agent_sees(site: Site) -> WindowState:
    state = WindowState(60, site_retention(site))
    session = ReconnectingSession(lambda: site.database.url("ops_agent"), "test")
    try:
        watch = WindowWatch(session, state)
        before = watch.before(site.name)
        watch.after(site.name, observe(site.context), before)
    finally:
        session.close()
    return state


def site_retention(site: Site) -> timedelta:
    return timedelta(days=site.context.stanza.retention_days)


def promoted(site: Site) -> Done:
    request = replace(site.request("incremental"), allow_promotion=True)
    lines: list[str] = []
    return Done(request, execution.run_backup(site.context, request, lines.append, silent), lines, [])


def test_a_broken_chain_is_named_refused_and_written_off(
    chain: Site, object_store: ObjectStoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "TOLERANCE_SECONDS", 0.0)
    healthy = verdicts(chain)
    assert healthy["sets_accounted_for"].passed, healthy["sets_accounted_for"].summary
    assert healthy["window_as_promised"].passed, healthy["window_as_promised"].summary
    with pytest.raises(CheckFailed, match="nothing is lost"):
        accounts.acknowledge(chain.context, "none", "cli:test")
    labels = chain.labels()

    full = lose_manifest(chain, object_store)
    seen = agent_sees(chain)
    assert seen.lost.get() == 0
    window = seen.window.get()
    assert window is not None
    # The incremental's own manifest is there: until the next backup strikes it off, it can be restored.
    assert window.first is None or window.first.label != full
    assert full in verdicts(chain)["files_present"].summary
    assert not verdicts(chain)["window_as_promised"].passed
    told = stanza_status(chain.context)
    assert told["recoverable_seconds"] == 0
    assert told["window_is_short"]
    assert full not in {backup_set["label"] for backup_set in told["sets"] if backup_set["restorable"]}

    request = chain.request("incremental")
    with pytest.raises(CheckFailed, match=rf"would become a full.*{full} is gone, 2 sets"):
        execution.run_backup(chain.context, request, silent, silent)
    assert chain.report(request.run_id)["status"] == "failed"
    assert chain.labels() == labels

    take(chain, "full")
    seen = agent_sees(chain)
    assert seen.lost.get() == 2
    red = verdicts(chain)
    assert all(label in red["sets_accounted_for"].summary for label in labels)
    assert not red["window_as_promised"].passed
    assert stanza_status(chain.context)["lost_sets"] == sorted(labels)

    assert accounts.acknowledge(chain.context, "deleted by hand", "cli:test").lost == tuple(sorted(labels))
    green = verdicts(chain)
    assert green["sets_accounted_for"].passed, green["sets_accounted_for"].summary
    assert green["window_as_promised"].passed, green["window_as_promised"].summary
    assert agent_sees(chain).lost.get() == 0
    assert take(chain, "incremental").report.backup_set.kind == "incremental"


def test_a_person_may_allow_the_promotion(chain: Site, object_store: ObjectStoreServer) -> None:
    lose_manifest(chain, object_store)
    with pytest.raises(CheckFailed, match="would become a full"):
        take(chain, "differential")
    done = promoted(chain)
    assert done.report.backup_set.kind == "full"
    assert any("the incremental asked for will be a full" in line for line in done.lines)
