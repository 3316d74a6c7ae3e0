"""A promotion: the cluster goes on along a new timeline, and nothing counts as missing."""

from __future__ import annotations

import pytest

from ops_platform.backup.monitoring.observation import observe
from ops_platform.backup.monitoring.status import stanza_status
from ops_platform_tests.backup.site import Site, take
from ops_platform_tests.backup.taking.test_outage import beat, switch, wait_for_archive

pytestmark = pytest.mark.services


def promote(site: Site) -> None:
    """Archive recovery to the end of the WAL, which ends on a new timeline."""
    with site.cluster.superuser() as superuser:
        superuser.execute("ALTER SYSTEM SET restore_command = '/bin/false'")
    site.cluster.stop()
    signal = site.cluster.data_dir / "recovery.signal"
    signal.touch()
    site.cluster.account.own(signal)
    site.cluster.start()


def test_a_promotion_is_followed_without_a_gap(backed_up: Site) -> None:
    switch(backed_up)
    before = observe(backed_up.context)
    assert before.from_oldest is not None
    promote(backed_up)

    after_promotion = beat(backed_up)
    switch(backed_up)
    wait_for_archive(backed_up, after_promotion)

    seen = observe(backed_up.context)
    assert seen.from_oldest is not None
    assert seen.from_oldest.history.timeline == before.from_oldest.history.timeline + 1
    assert seen.gap_segments == 0
    done = take(backed_up, "incremental")
    assert done.report.backup_set.timeline == seen.from_oldest.history.timeline
    told = stanza_status(backed_up.context)
    assert told["wal_gap_segments"] == 0
    assert all(one["restorable"] for one in told["sets"])
