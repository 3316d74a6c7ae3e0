"""A stanza follows its server to another cluster: explained first, upgraded, with a full of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ops_platform.backup.repository.backup_sets import Database
from ops_platform.backup.taking import execution, stanza_upgrade
from ops_platform.backup.taking.preflight import Server
from ops_platform.backup.taking.stanza_upgrade import UpgradePlan
from ops_platform.cli import cli
from ops_platform.errors import CheckFailed, OpsError, Unavailable
from ops_platform.local.host import programs
from ops_platform.local.servers.postgres_cluster import SUPERUSER, PostgresCluster
from ops_platform_tests.backup.shapes import write_two_repositories
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


class TwoRepositories:
    """``stanza upgrade`` with a second repository: what is done in each, and what fails there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        write_two_repositories(directory)
        monkeypatch.setenv("OPS_CONFIG_DIR", str(directory))
        self.plans: dict[str, UpgradePlan | OpsError] = {"product": PLAN, "product@offsite": named(PLAN)}
        self.faults: dict[tuple[str, str], OpsError] = {}
        self.done: list[tuple[str, str]] = []
        second = SimpleNamespace(stanza=SimpleNamespace(name="product@offsite"), whole=())
        first = SimpleNamespace(
            stanza=SimpleNamespace(name="product"), whole=(), in_other_repositories=lambda: [second]
        )
        monkeypatch.setattr("ops_platform.backup.stanza.open_context", lambda *_: first)
        monkeypatch.setattr(stanza_upgrade, "plan", self.plan)
        monkeypatch.setattr(stanza_upgrade, "carry_out", lambda ctx, *_, **__: self.do("upgrade", ctx))
        monkeypatch.setattr(execution, "run_backup", lambda ctx, *_: self.do("full", ctx))

    def plan(self, ctx: Any) -> UpgradePlan:
        plan = self.plans[ctx.stanza.name]
        if isinstance(plan, OpsError):
            raise plan
        return plan

    def do(self, step: str, ctx: Any) -> Any:
        name = ctx.stanza.name
        if (step, name) in self.faults:
            raise self.faults[step, name]
        self.done.append((step, name))
        return SimpleNamespace(backup_set=SimpleNamespace(label="20261101-000000F"))

    def upgrade(self, *options: str) -> Result:
        self.done = []
        return CliRunner().invoke(cli, ["stanza", "upgrade", "--stanza", "product", "--yes", *options])


def named(plan: UpgradePlan) -> UpgradePlan:
    return replace(plan, stanza="product@offsite")


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TwoRepositories:
    return TwoRepositories(monkeypatch, tmp_path)


def test_both_are_upgraded_before_the_first_full(both: TwoRepositories) -> None:
    assert both.upgrade().exit_code == 0
    assert both.done == [
        (step, name) for step in ("upgrade", "full") for name in ("product", "product@offsite")
    ]


@pytest.mark.parametrize(("away", "there"), [("product@offsite", "product"), ("product", "product@offsite")])
def test_a_repository_that_is_away_keeps_the_other_from_nothing(
    both: TwoRepositories, away: str, there: str
) -> None:
    both.plans[away] = Unavailable("S3 at far:443 cannot be reached")
    shown = both.upgrade()
    assert both.done == [("upgrade", there), ("full", there)]
    assert shown.exit_code == Unavailable.exit_code
    assert f"WARNING: {away} is not upgraded: S3 at far:443 cannot be reached" in shown.stderr
    assert "run this command again" in shown.stderr
    assert both.upgrade("--dry-run").exit_code == Unavailable.exit_code
    assert both.done == []


def test_what_fails_in_the_server_is_said_once(both: TwoRepositories) -> None:
    both.plans = dict.fromkeys(both.plans, CheckFailed("the server is a standby"))
    shown = both.upgrade()
    assert (shown.exit_code, both.done) == (CheckFailed.exit_code, [])


@pytest.mark.parametrize("step", ["upgrade", "full"])
@pytest.mark.parametrize("failing", ["product", "product@offsite"])
def test_what_fails_in_one_is_done_in_the_other(both: TwoRepositories, step: str, failing: str) -> None:
    (other,) = both.plans.keys() - {failing}
    both.faults[step, failing] = Unavailable("its S3 went away")
    shown = both.upgrade()
    assert [done for done in both.done if done[1] == other] == [("upgrade", other), ("full", other)]
    assert shown.exit_code == Unavailable.exit_code
    assert f"WARNING: {failing}: its S3 went away" in shown.stderr


def test_a_repetition_takes_the_full_that_is_lacking(both: TwoRepositories) -> None:
    upgraded = replace(PLAN, known=Database(2, 8, "15"))
    both.plans = {"product": replace(upgraded, lacks_full=True), "product@offsite": named(upgraded)}
    shown = both.upgrade()
    assert (shown.exit_code, both.done) == (0, [("full", "product")])
    assert "nothing can be restored of this cluster until its first full" in shown.stdout
    both.plans["product"] = upgraded
    assert (both.upgrade().exit_code, both.done) == (0, [])


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
