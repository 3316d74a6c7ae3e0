"""A creator is erased, the cluster is restored to the moment before: gone again before it takes traffic."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from ops_platform import files
from ops_platform.audit.keys import generate
from ops_platform.backup.stanza.context import open_context
from ops_platform.clients import object_store
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.defs.gdpr import jobs
from ops_platform.defs.resources import PlatformResource
from ops_platform.dr.emergency import judgement as emergency
from ops_platform.dr.emergency import restore_command as break_glass
from ops_platform.dr.exercise import runner
from ops_platform.dr.exercise.rehearsal import server_of
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.inspection.check_result import Verification, verdict
from ops_platform.dr.plan.recovery_target import RecoveryTarget
from ops_platform.dr.verification import backup_expiry as backup_term
from ops_platform.dr.verification import erasure_replay as tombstones
from ops_platform.dr.verification import live_source as source
from ops_platform.dr.verification import suite as questions
from ops_platform.gdpr.certificates import certificate_store as certificates
from ops_platform.gdpr.certificates import document as certificate
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform.gdpr.subject import subject_key
from ops_platform.gdpr.tombstones import encryption as sealed
from ops_platform.gdpr.tombstones import tombstone_store as stones
from ops_platform.local.demo import people
from ops_platform.local.demo.seed.filling import seed
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import GdprSettings, S3Identity, Settings
from ops_platform_tests.backup.site import Site, silent, take
from ops_platform_tests.dr.practice import archive_now, strike
from ops_platform_tests.gdpr.other_stores import sealing_key
from ops_platform_tests.services import OpsDatabase, short_directory

pytestmark = pytest.mark.services
SUBJECT, OTHER = people.creator_id(1), people.creator_id(2)


@dataclass(frozen=True)
class Erased:
    """A site from which SUBJECT was erased; ``before``: a moment when they were still there."""

    site: Site
    before: datetime

    def without_ops(self) -> Site:
        settings = self.site.settings.model_copy(update={"database_url": "postgresql://127.0.0.1:1/ops"})
        return _with(self.site, settings)


@pytest.fixture(scope="module")
def erased(make_site: Callable[..., Site]) -> Erased:
    made = make_site()
    private, public = generate()
    gdpr = GdprSettings(
        encryption_key=SecretStr(sealing_key()), signing_key=SecretStr(private), public_key=public
    )
    s3 = made.settings.s3
    ledger = S3Identity(**{**vars(s3.identity("ledger")), "prefix": f"{made.database.name}-dr/"})
    settings = made.settings.model_copy(
        update={
            "gdpr": gdpr,
            "product_eraser_database_url": made.cluster.url("ops_eraser"),
            "s3": s3.model_copy(update={"identities": {**s3.identities, "ledger": ledger}}),
        }
    )
    shutil.copy(files.default_config_dir() / "data_map.yaml", settings.config_dir)
    site = _with(made, settings)
    owner = site.cluster.url("product_owner")
    migrate(owner, files.carried("sql") / "demo")
    seed(owner, scale=0.02)
    questions.refresh(site.context)
    take(site, "full")
    # Well after the set: pgBackRest says when it was complete in whole seconds.
    before = strike(site, 4)[-1]
    strike(site, 2)
    archive_now(site)
    _erase(site)
    return Erased(site, before)


def _with(site: Site, settings: Settings) -> Site:
    return replace(site, settings=settings, context=open_context(settings, site.name))


def _erase(site: Site) -> None:
    """What matters here of an erasure: the tombstone, the rows, the certificate."""
    settings, now = site.settings, datetime.now(UTC)
    data_map = map_file.load(settings.config_dir / "data_map.yaml")
    ledger, keys = object_store.from_settings(settings, "ledger"), sealed.sealing_keys(settings)
    term = backup_term.product_backup_term(settings)
    with (
        postgres.session(site.context.ops_url, autocommit=True) as ops,
        postgres.session(settings.require("product_eraser_database_url"), autocommit=True) as product,
    ):
        known = catalogue.read(product)
        of = subject_key.parse(product, data_map, known, site.name, str(SUBJECT))
        who = subject_rows.identity(product, data_map, known, of.key)
        assert who is not None
        one = stones.write(
            ops, ledger, keys, of, request_id="r1", map_version=data_map.version, term=term, now=now
        )
        row_erasure.erase(product, data_map, known, RowErasure("r1", who, one.erased_at))
        row_erasure.forget(product, "r1")
        expires = stones.complete(ops, ledger, keys, one, term, datetime.now(UTC))
        composed = certificate.compose(
            one, data_map, [], proof=[], residue={}, backups_expire_at=expires, now=datetime.now(UTC)
        )
        certificates.issue(ops, ledger, certificate.signing_key(settings), composed)


@pytest.fixture
def place() -> Iterator[Path]:
    root = short_directory()
    yield root
    subprocess.run(["rm", "-rf", "--", str(root)], check=True)


@dataclass(frozen=True)
class Restored:
    tombstones: Verification
    answers: dict[str, str]
    subject: int
    other: int


def restore(site: Site, directory: Path, moment: datetime) -> Restored:
    """The emergency restore to ``moment``, and who is in the cluster afterwards."""
    with break_glass.open_workspace(site.context, directory) as here:
        target = RecoveryTarget.parse("time", moment.isoformat())
        told = break_glass.explain(site.context, here, target, None, datetime.now(UTC))
        known = emergency.knowledge(site.context, told, silent)
        done = break_glass.carry_out(site.context, here, known, datetime.now(UTC), print, silent)
        server = server_of(site.context, here)
        with server.running():
            server.wait_promoted(60)
            with server.connect(source.database_name(site.context)) as connection:
                counts = [
                    len(connection.execute("SELECT FROM creators WHERE id = %s", (one,)).fetchall())
                    for one in (SUBJECT, OTHER)
                ]
    [answer] = [one for one in done.results if one.name == "tombstones"]
    return Restored(answer, {one.name: one.result for one in done.results}, *counts)


def test_an_emergency_restore_erases_again_before_traffic(erased: Erased, place: Path) -> None:
    found = restore(erased.site, place / "new", erased.before)
    assert found.tombstones.result == "pass", found.tombstones.summary
    assert found.tombstones.numbers["came_back"] == 1
    assert "the ops database" in found.tombstones.summary
    assert (found.subject, found.other) == (0, 1)
    assert {name for name, result in found.answers.items() if result == "fail"} == set()


def test_without_the_ops_database_the_locked_ledger_says_whom(erased: Erased, place: Path) -> None:
    found = restore(erased.without_ops(), place / "new", erased.before)
    assert found.tombstones.result == "pass", found.tombstones.summary
    assert "the object-locked ledger" in found.tombstones.summary
    assert (found.subject, found.other) == (0, 1)


def test_an_ops_database_that_forgot_is_not_believed(erased: Erased) -> None:
    site = erased.site
    target = RecoveryTarget.parse("time", erased.before.isoformat())
    with break_glass.open_workspace(site.context, site.settings.state_dir / "never") as here:
        told = break_glass.explain(site.context, here, target, None, datetime.now(UTC))
    asked = emergency.knowledge(site.context, told, silent).checks
    assert isinstance(asked, emergency.EmergencyChecks)
    assert asked._tombstones().count == 1
    with site.database.superuser() as superuser:
        superuser.execute("UPDATE erasure_tombstones SET stanza = 'elsewhere'")
    try:
        assert asked._tombstones().count == 1
    finally:
        with site.database.superuser() as superuser:
            superuser.execute("UPDATE erasure_tombstones SET stanza = %s", (site.name,))


@pytest.mark.full
def test_with_the_replay_disabled_the_subject_is_back(
    erased: Erased, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tombstones, "replay", lambda *_: verdict("tombstones", True, "disabled"))
    assert restore(erased.site, place / "new", erased.before).subject == 1


def test_without_the_key_nothing_may_take_traffic(erased: Erased, place: Path) -> None:
    away = erased.without_ops()
    keyless = away.settings.model_copy(update={"gdpr": GdprSettings()})
    found = restore(_with(away, keyless), place / "new", erased.before)
    assert found.tombstones.result == "unknown"
    assert "OPS_GDPR_ENCRYPTION_KEY" in found.tombstones.summary
    assert found.subject == 1


class _Platform(PlatformResource):
    """The settings of a site."""

    def settings(self) -> Settings:
        return SETTINGS[0]


SETTINGS: list[Settings] = []


def run_job(settings: Settings) -> dg.ExecuteInProcessResult:
    SETTINGS[:] = [settings]
    return jobs.tombstone_replay.execute_in_process(resources={"platform": _Platform()}, raise_on_error=False)


def test_the_job_erases_whoever_a_restore_of_the_product_brought_back(erased: Erased) -> None:
    site = erased.site
    with postgres.session(site.cluster.url("product_owner")) as owner:
        owner.execute(
            "INSERT INTO creators (id, handle, email, full_name, country, created_at) "
            "VALUES (%s, 'came.back', 'came.back@example.org', 'Anna', 'FR', '2020-01-01')",
            (SUBJECT,),
        )
    result = run_job(site.settings)
    assert result.success
    with postgres.session(site.cluster.url("product_owner")) as owner:
        assert owner.execute("SELECT FROM creators WHERE id = %s", (SUBJECT,)).fetchall() == []
    events = [one for one in result.all_events if one.event_type_value == "STEP_OUTPUT"]
    metadata = events[0].step_output_data.metadata
    assert metadata["came_back"].value == 1
    assert str(SUBJECT) not in str(result.all_events), "nobody's identifiers in Dagster's storage"


def test_the_job_brings_back_what_the_ops_database_has_lost(erased: Erased) -> None:
    site = erased.site
    with site.database.superuser() as superuser:
        superuser.execute("DELETE FROM erasure_tombstones")
        superuser.execute(
            "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, created_at, "
            "verified_at) VALUES ('r1', %s, 'erasure', 'anna@example.org', now() - interval '1 day', now())",
            (SUBJECT,),
        )
    assert run_job(site.settings).success
    with postgres.session(site.context.ops_url) as ops:
        [one] = stones.read(ops, site.name)
        assert one.completed_at is not None
        [row] = ops.execute("SELECT status, requestor_email FROM gdpr_requests").fetchall()
    assert (row["status"], row["requestor_email"]) == ("completed", "")


def test_rows_that_postgresql_quotes_are_in_no_event(erased: Erased) -> None:
    site = erased.site
    with site.database.superuser() as superuser:
        superuser.execute("DELETE FROM erasure_tombstones")
        superuser.execute(
            "ALTER TABLE erasure_tombstones ADD CONSTRAINT refused CHECK (subject_type = 'nobody')"
        )
    try:
        result = run_job(site.settings)
    finally:
        with site.database.superuser() as superuser:
            superuser.execute("ALTER TABLE erasure_tombstones DROP CONSTRAINT refused")
    [failed] = [one for one in result.all_events if one.event_type_value == "STEP_FAILURE"]
    assert "CheckViolation (SQLSTATE 23514)" in str(failed.step_failure_data)
    assert str(SUBJECT) not in str(result.all_events)
    assert run_job(site.settings).success


def test_tombstones_go_when_no_set_is_older_and_not_before(erased: Erased) -> None:
    """The set that was made before the erasure is still there."""
    site = erased.site
    with postgres.session(site.context.ops_url) as ops:
        row = ops.execute("SELECT max(expires_at) AS at FROM erasure_tombstones").fetchone()
    assert row is not None
    assert tombstones.expire(site.context, row["at"] + timedelta(days=1)) == 0


def test_the_job_says_in_one_line_what_is_missing(erased: Erased) -> None:
    result = run_job(erased.site.settings.model_copy(update={"gdpr": GdprSettings()}))
    assert not result.success
    [failed] = [one for one in result.all_events if one.event_type_value == "STEP_FAILURE"]
    assert "OPS_GDPR_ENCRYPTION_KEY" in str(failed.step_failure_data)


@dataclass(frozen=True)
class Reachable:
    """As much of a restored server as the replay uses: databases of a cluster that runs already."""

    cluster: PostgresCluster

    def connect(self, database: str) -> postgres.Connection:
        return psycopg.connect(self.cluster.superuser_dsn(database), autocommit=True, row_factory=dict_row)

    def url(self, database: str, role: str) -> str:
        return self.cluster.url(role, database)


def replayed(erased: Erased, cluster: PostgresCluster, database: str, stanza: str) -> Verification:
    found = tombstones.from_ledger(erased.site.settings, stanza)
    server: Any = Reachable(cluster)
    return tombstones.replay(found, server, stanza, database, erased.site.settings, silent)


def test_a_restored_ops_database_remembers_again_and_forgets_addresses(
    erased: Erased, ops_database: OpsDatabase
) -> None:
    with ops_database.superuser() as superuser:
        superuser.execute(
            "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, created_at, "
            "verified_at) VALUES ('r1', %s, 'erasure', 'anna@example.org', now() - interval '1 day', now())",
            (SUBJECT,),
        )
    answer = replayed(erased, ops_database.cluster, ops_database.name, "ops")
    assert answer.result == "pass", answer.summary
    assert (answer.numbers["adopted"], answer.numbers["scrubbed"]) == (1, 1)
    with postgres.session(ops_database.url("ops_worker")) as ops:
        [row] = ops.execute("SELECT status, requestor_email FROM gdpr_requests").fetchall()
        assert (row["status"], row["requestor_email"]) == ("completed", "")
        assert len(stones.read(ops, erased.site.name)) == 1


@pytest.mark.full
def test_a_backup_from_before_the_platform_erased_anything(
    erased: Erased, cluster_factory: Callable[..., PostgresCluster]
) -> None:
    cluster = cluster_factory("product", archive=False)
    owner = cluster.url("product_owner")
    migrate(owner, files.carried("sql") / "demo")
    seed(owner, scale=0.01)
    with cluster.superuser("product") as superuser:
        superuser.execute(
            "DROP TABLE ops_platform.erasure_steps, ops_platform.erasures, ops_platform.erasure_salt"
        )
        superuser.execute("DELETE FROM ops_platform._yoyo_migration WHERE migration_id > '0002'")
    answer = replayed(erased, cluster, "product", erased.site.name)
    assert answer.result == "pass", answer.summary
    assert answer.numbers["came_back"] == 1
    with cluster.superuser("product") as superuser:
        # A newer backup, from before the last of the platform's tables.
        superuser.execute("DROP TABLE ops_platform.erasure_shared_rows")
        superuser.execute("DELETE FROM ops_platform._yoyo_migration WHERE migration_id > '0005'")
        superuser.commit()
        assert replayed(erased, cluster, "product", erased.site.name).result == "pass"
        superuser.execute("SELECT FROM ops_platform.erasure_shared_rows")


def test_a_map_that_does_not_fit_fails_and_says_where(
    erased: Erased, cluster_factory: Callable[..., PostgresCluster]
) -> None:
    cluster = cluster_factory("product", archive=False)
    owner = cluster.url("product_owner")
    migrate(owner, files.carried("sql") / "demo")
    with postgres.session(owner) as connection:
        connection.execute("CREATE TABLE diaries (id bigint PRIMARY KEY, words text)")
    answer = replayed(erased, cluster, "product", erased.site.name)
    assert answer.result == "fail"
    assert "diaries" in answer.summary


def test_an_exercise_erases_again_and_passes(erased: Erased) -> None:
    """To the moment before the erasure: its references are of before and of after."""
    site = erased.site
    strike(site, 1)
    run = str(uuid4())
    request = ExerciseRequest("manual", site.name, "pitr", run, run, 1_800_000, 900_000)
    outcome = runner.run(site.context, request, print, silent)
    found = {one.name: one for one in outcome.verifications}
    assert found["tombstones"].numbers["came_back"] == 1, found["tombstones"].summary
    assert {name: one.summary for name, one in found.items() if one.result != "pass"} == {}
