"""A stanza follows its server to another cluster: explained first, upgraded, with a full of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from ops_platform.backup.repository.backup_sets import Database
from ops_platform.backup.taking import execution, stanza_upgrade
from ops_platform.backup.taking.preflight import Server
from ops_platform.backup.taking.stanza_upgrade import UpgradePlan
from ops_platform.errors import CheckFailed
from ops_platform.local.host import programs
from ops_platform.local.servers.postgres_cluster import SUPERUSER, PostgresCluster
from ops_platform_tests.backup.site import Site, silent, take
from ops_platform_tests.dr.practice import archive_now

KNOWN = Database(1, 7, "14")
SERVER = Server(15, 8, False, "on", 60, "/data", False, None)
PLAN = UpgradePlan("product", KNOWN, SERVER, 12, seen_before=False)


def test_a_newer_version_needs_an_upgrade_without_a_warning() -> None:
    assert PLAN.is_needed
    assert PLAN.is_newer
    said = "\n".join(PLAN.lines())
    assert "PostgreSQL 14, system id 7, 12 sets" in said
    assert "PostgreSQL 15, system id 8" in said
    assert "WARNING" not in said


def test_the_same_cluster_needs_none() -> None:
    plan = replace(PLAN, known=Database(1, 8, "15"))
    assert not plan.is_needed
    assert plan.lines()[-1] == "nothing to do: the stanza stands for this cluster"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (replace(PLAN, known=Database(1, 7, "15")), "WARNING      no newer version, but another cluster"),
        (replace(PLAN, known=Database(1, 7, "9.6")), "PostgreSQL 9.6"),
        (replace(PLAN, known=Database(2, 9, "16"), seen_before=True), "went back to it"),
    ],
)
def test_another_cluster_of_no_newer_version_is_told(plan: UpgradePlan, said: str) -> None:
    assert plan.is_needed
    assert any(said in line for line in plan.lines())


def pg_upgrade(old: PostgresCluster, new: PostgresCluster) -> PostgresCluster:
    """Replace a stopped cluster, as docs/runbooks/major-upgrade.md does, and start the new one."""
    aside = old.data_dir.with_name(f"{old.data_dir.name}.old")
    old.data_dir.rename(aside)
    new.initialise()
    # Without the run with --check before: it checks all the same, and costs as much as half of this test.
    subprocess.run(
        [
            new.programs.path("pg_upgrade"),
            f"--old-datadir={aside}",
            f"--new-datadir={new.data_dir}",
            f"--old-bindir={old.programs.bin_dir}",
            f"--new-bindir={new.programs.bin_dir}",
            f"--socketdir={new.socket_dir}",
            f"--username={SUPERUSER}",
        ],
        cwd=new.data_dir,
        env=new.process_environment(),
        check=True,
        stdout=subprocess.DEVNULL,
        **new.account.subprocess_arguments(),
    )
    new.start()
    return new


@pytest.mark.full
@pytest.mark.services
def test_a_stanza_follows_its_server_through_pg_upgrade(make_site: Callable[..., Site]) -> None:
    known = programs.pgbackrest_version()
    newest = programs.find_postgres(known)
    # Where one version is installed, pg_upgrade makes a new cluster of the same.
    site = make_site(version=programs.installed_postgres()[0])
    with pytest.raises(CheckFailed, match=f"'ops-platform backup full --stanza {site.name}' creates it"):
        stanza_upgrade.plan(site.context)
    old = take(site, "full").report.backup_set
    assert not stanza_upgrade.plan(site.context).is_needed
    with site.cluster.superuser("product") as superuser:
        superuser.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    archive_now(site)
    site.cluster.stop()
    upgraded = pg_upgrade(site.cluster, replace(site.cluster, programs=newest))
    with pytest.raises(CheckFailed, match=f"run 'ops-platform stanza upgrade --stanza {site.name}'"):
        execution.preflight(site.context, site.request("full"), silent)

    plan = stanza_upgrade.plan(site.context)
    assert (plan.is_needed, plan.sets, plan.seen_before) == (True, 1, False)
    assert plan.is_newer == (newest.major > site.cluster.programs.major)
    for _ in range(2):  # the second time there is nothing left to do
        stanza_upgrade.carry_out(site.context, plan, operation_id="upgrade-1", actor="test", log=silent)
        plan = stanza_upgrade.plan(site.context)
        assert not plan.is_needed
    assert site.audit("upgrade-1") == [("intent", None), ("outcome", "success")] * 2

    # A set of the old cluster is nothing to build on.
    with pytest.raises(CheckFailed, match="was replaced and has no full of its own yet"):
        execution.preflight(site.context, site.request("incremental"), silent)
    new = take(site, "full").report.backup_set
    assert [backup_set.label for backup_set in site.repository().sets] == [old.label, new.label]
    assert new.database_id != old.database_id
    with upgraded.superuser("product") as superuser:
        assert superuser.execute("SELECT answer FROM kept").fetchall() == [(42,)]
