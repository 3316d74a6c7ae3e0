"""What a superuser of the ops database can do to hide: each way is found, with its place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from ops_platform.audit import catalogue
from ops_platform.audit.ledger import LedgerError, append
from ops_platform.audit.sealer import SealRefused
from ops_platform_tests.audit.catalogue_record import record
from ops_platform_tests.audit.rig import Rig, event

pytestmark = pytest.mark.services


def as_superuser(rig: Rig, *statements: str) -> None:
    """Run statements with nothing put back afterwards, unlike ``Rig.attack``."""
    with rig.superuser() as superuser:
        for statement in statements:
            superuser.execute(statement)


@pytest.fixture
def sealed(rig: Rig) -> Rig:
    rig.events(3)
    rig.seal()
    rig.events(3)
    rig.seal()
    assert rig.findings() == []
    return rig


def found(rig: Rig, *starts: str, **options: datetime) -> Sequence[str]:
    """The findings, of which each of ``starts`` begins one."""
    findings = rig.findings(**options)
    missing = [start for start in starts if not any(line.startswith(start) for line in findings)]
    assert missing == [], findings
    return findings


def test_the_record_is_what_the_migrations_make(rig: Rig) -> None:
    made = record(rig.database.url())
    assert made == (catalogue.RECORD.read_text()), (
        "python -m ops_platform_tests.audit.catalogue_record URL > ops_platform/audit/catalogue/recorded.json"
    )


def test_a_view_in_place_of_the_table(sealed: Rig) -> None:
    """It shows the truth to whoever asks as the verifier did, and hides an event from everybody else."""
    as_superuser(
        sealed,
        "ALTER TABLE audit_events RENAME TO audit_events_kept",
        "CREATE VIEW audit_events AS SELECT * FROM audit_events_kept "
        "WHERE id <> 2 OR current_query() LIKE '%audit_leaves_of_events%'",
        "GRANT SELECT ON audit_events TO ops_worker, ops_agent",
    )
    findings = found(
        sealed,
        "public.audit_events: is not as the migrations of this version made it: view",
        "rows: not read",
    )
    assert any(
        line.startswith("trigger audit_events_append_only of public.audit_events") for line in findings
    )


def test_a_policy_that_hides_a_row(sealed: Rig) -> None:
    as_superuser(
        sealed,
        "ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY hide ON audit_events FOR SELECT TO ops_worker USING (id <> 2)",
    )
    found(
        sealed, "policy hide of public.audit_events: was not made", "public.audit_events: ", "rows: not read"
    )


def test_dropped_triggers_and_new_grants(sealed: Rig) -> None:
    as_superuser(
        sealed,
        "DROP TRIGGER audit_events_append_only ON audit_events",
        "ALTER TABLE audit_seals DISABLE TRIGGER audit_seals_append_only",
        "GRANT UPDATE, DELETE ON audit_events TO ops_worker",
        "GRANT UPDATE (actor) ON audit_events TO ops_api",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
    )
    found(
        sealed,
        "trigger audit_events_append_only of public.audit_events: is missing",
        "trigger audit_seals_append_only of public.audit_seals: is not as",
        "grant on public.audit_events to ops_worker: was not made by",
        "grant on public.audit_events.actor to ops_api: is not as",
        "grant on schema public to PUBLIC: ",
    )


def test_an_insert_trigger_that_returns_null_or_alters(sealed: Rig) -> None:
    as_superuser(
        sealed,
        "CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.actor = 'one' THEN RETURN NULL; END IF; "
        "IF NEW.actor = 'two' THEN NEW.object := 'another'; END IF; "
        "IF NEW.actor = 'three' THEN NEW.occurred_at := now() - interval '3 days'; END IF; "
        "RETURN NEW; END $$",
        "CREATE TRIGGER drop_it BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION drop_it()",
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER nothing BEFORE INSERT ON audit_seals FOR EACH ROW EXECUTE FUNCTION nothing()",
    )
    for role in ("ops_worker", "ops_api"):
        for actor in ("one", "two", "three"):
            connection = sealed.connect(role)
            with pytest.raises(LedgerError, match="was not stored as it was written"):
                append(connection, event(actor=actor))
            connection.rollback()
        append(connection, event(actor="four", personal={"name": "x"}))
        connection.commit()
    found(
        sealed,
        "trigger drop_it of public.audit_events: was not made",
        "function public.drop_it(): was not made",
        "trigger nothing of public.audit_seals: was not made",
    )
    with pytest.raises(SealRefused, match="the table does not show it"):
        sealed.seal()


def test_a_row_backdated_by_three_days(sealed: Rig) -> None:
    as_superuser(
        sealed,
        "INSERT INTO audit_events (event_id, actor, action, phase, operation_id, object, occurred_at) "
        "SELECT gen_random_uuid(), 'a', 'a', 'event', 'o', 'o', now() + days * interval '1 day' "
        "FROM unnest(ARRAY[-3, 3]) AS days",
    )
    places = ("event 7: is dated", "event 8: is dated")
    assert "backdated" in found(sealed, *places)[0]
    sealed.seal()
    assert len(found(sealed, *places)) == 2


def test_ten_days_without_a_seal(sealed: Rig) -> None:
    sealed.events(1)
    [finding] = found(sealed, "seal 2: is the newest, ", now=datetime.now(UTC) + timedelta(days=10))
    assert "240 hours old" in finding


def test_the_newest_seal_deleted_within_ten_minutes(sealed: Rig) -> None:
    sealed.attack("DELETE FROM audit_seals WHERE number = 2")
    [finding] = sealed.findings()
    assert finding.startswith("seal 2: in the bucket but not in the database: removed")
    # The next sealer records it from its copy: nothing is lost.
    sealed.events(1)
    sealed.seal_all()
    assert sealed.findings() == []


def test_an_index_that_lies_decoys_and_settings(sealed: Rig) -> None:
    as_superuser(
        sealed,
        "CREATE SCHEMA ops_worker",
        "CREATE TABLE ops_worker.audit_events (id int)",
        "CREATE TABLE more () INHERITS (audit_salts)",
        "CREATE RULE elsewhere AS ON INSERT TO audit_salts DO INSTEAD NOTHING",
        "ALTER ROLE ops_worker IN DATABASE " + sealed.database.name + " SET search_path = ops_worker, public",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql "
        "SET search_path = pg_catalog AS 'BEGIN RETURN NULL; END'",
        "DROP INDEX audit_events_seal_order",
        "CREATE INDEX audit_events_seal_order ON audit_events (epoch, xid, id) WHERE id <> 2",
        "ALTER TABLE audit_events ALTER epoch SET DEFAULT 7",
        "ALTER TABLE audit_seals OWNER TO ops_worker",
        "CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION on_ddl()",
        "CREATE OR REPLACE VIEW audit_leaves WITH (security_invoker = true) AS "
        "SELECT id, epoch, xid, repeat('0', 64) AS leaf_hash FROM audit_events",
    )
    found(
        sealed,
        "relation ops_worker.audit_events: ",
        "child public.more of public.audit_salts: ",
        "rule elsewhere of public.audit_salts: ",
        "setting search_path of role ops_worker in this database: ",
        "function public.refuse_change(): is not as",
        "index audit_events_seal_order of public.audit_events: is not as",
        "public.audit_seals: is not as",
        "event trigger watch: ",
        "definition of public.audit_leaves: is not as",
        "rows: not read",
    )


def test_rows_are_counted_by_the_pages_and_by_the_index(sealed: Rig) -> None:
    check = sealed.check()
    assert (check.rows_by_index, check.rows_by_scan, check.events, check.seal_rows) == (6, 6, 6, 2)
    as_superuser(
        sealed,
        "ALTER TABLE audit_events ALTER epoch SET DEFAULT 7",
    )
    assert found(sealed, "column public.audit_events.epoch: new events get epoch 7, not 1")
