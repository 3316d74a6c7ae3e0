"""Data that is not what the source holds: damaged copies of one restore, and fulls of damaged twins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ops_platform_tests.dr.corpus import pages
from ops_platform_tests.dr.corpus.lab import Lab, wrong
from ops_platform_tests.dr.corpus.restored_copy import RestoredOnce
from ops_platform_tests.dr.corpus.twin import Recipe, Twin, nothing

pytestmark = pytest.mark.full


@dataclass(frozen=True)
class Broken:
    """``named``: what does not pass. ``spoil`` is done to the stopped twin, ``statements`` run in it."""

    named: str
    statements: tuple[str, ...] = ()
    spoil: Callable[[Twin], None] = nothing
    scenario: str = "integrity"
    after: tuple[str, ...] = ()
    follow: frozenset[str] = frozenset()
    """What cannot be asked either."""

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            dead=self.spoil,
            alive=lambda twin: twin.sql(*self.statements),
            after=lambda twin: twin.sql(*self.after),
        )


NEVER_UP = {"rto_within_target", "rpo_within_target"}
"""Cannot be measured when it never took traffic."""
REPLICA = "SET session_replication_role = replica"

BROKEN = {
    "dropped_database": Broken("catalogue", ("DROP DATABASE second",)),
    "dropped_table": Broken("catalogue", ("DROP TABLE workflow_steps",)),
    "dropped_column": Broken("catalogue", ("ALTER TABLE posts DROP COLUMN body",)),
    "dropped_index": Broken("catalogue", ("DROP INDEX usage_logs_creator_id_idx",)),
    "dropped_function": Broken("catalogue", ("DROP FUNCTION ensure_usage_log_partitions",)),
    "disabled_trigger": Broken(
        "catalogue", ("ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_append_only",)
    ),
    "given_away": Broken("catalogue", ("GRANT ALL ON creators TO PUBLIC",)),
    "lost_role": Broken("roles", ("DROP ROLE reporting",)),
    "strange_superuser": Broken("roles", ("CREATE ROLE intruder SUPERUSER",)),
    "raised_role": Broken("roles", ("ALTER ROLE reporting LOGIN SUPERUSER",)),
    "lost_extension": Broken("extensions", ("DROP EXTENSION pg_trgm",)),
    "sequence_behind": Broken("sequences", ("SELECT setval('audit_logs_id_seq', 1, true)",)),
    "invalid_index": Broken(
        "indexes_valid",
        ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'comments_post_id_idx'::regclass",),
    ),
    "not_valid_constraint": Broken(
        "constraints_validated",
        ("UPDATE pg_constraint SET convalidated = false WHERE conname = 'comments_post_id_fkey'",),
    ),
    "other_collation": Broken(
        "collations", ("UPDATE pg_collation SET collversion = '0' WHERE collname = 'und-x-icu'",)
    ),
    "changed_closed_row": Broken(
        "closed_rows",
        (REPLICA, "UPDATE audit_logs SET message = 'forged' WHERE id = (SELECT min(id) FROM audit_logs)"),
    ),
    "deleted_closed_row": Broken(
        "closed_rows", (REPLICA, "DELETE FROM audit_logs WHERE id = (SELECT min(id) FROM audit_logs)")
    ),
    "changed_ledger": Broken(
        "closed_rows",
        (
            REPLICA,
            "UPDATE ledger_entries SET amount_cents = amount_cents + 1 "
            "WHERE entry_no = (SELECT min(entry_no) FROM ledger_entries)",
        ),
    ),
    "mass_insert": Broken(
        "live_tables", ("INSERT INTO small_1 SELECT n, 'x' FROM generate_series(2, 500) n",)
    ),
    "orphans": Broken(
        "orphans", (REPLICA, "DELETE FROM posts WHERE id = (SELECT min(post_id) FROM comments)")
    ),
    "index_lacks_rows": Broken(
        "amcheck",
        (
            "UPDATE pg_index SET indisready = false WHERE indexrelid = 'small_2_pkey'::regclass",
            "INSERT INTO small_2 VALUES (2, 'two')",
            "UPDATE pg_index SET indisready = true WHERE indexrelid = 'small_2_pkey'::regclass",
        ),
    ),
}
"""Done to a copy of the restored source."""

IN_THE_BACKUP = {
    "mass_delete": Broken("live_tables", (REPLICA, "DELETE FROM sessions")),
    "heap_damage_with_valid_checksum": Broken("amcheck", spoil=pages.too_many_attributes),
    "page_checksum": Broken("backup_selected", spoil=pages.wrong_checksum),
    "heartbeats_deleted": Broken(
        "recovery_target",
        after=("DELETE FROM ops_platform.heartbeats WHERE beat_at > now() - interval '1 day'",),
        scenario="latest",
        # Of a table that was referenced with more rows than are left.
        follow=frozenset({"live_tables"}),
    ),
    "clock_ahead": Broken(
        "rpo_within_target",
        after=("INSERT INTO ops_platform.heartbeats (beat_at) VALUES (now() + interval '1 hour')",),
        scenario="latest",
        # Of that moment nobody has seen the source.
        follow=frozenset({"live_tables"}),
    ),
}
"""Where the backup itself could notice, or its end decides: each is a full of a twin."""


def test_an_undamaged_copy_passes(once: RestoredOnce) -> None:
    assert once.judge() == {}


@pytest.mark.parametrize("name", BROKEN)
def test_damage_of_a_copy_is_named(once: RestoredOnce, name: str) -> None:
    broken = BROKEN[name]
    found = once.judge(lambda copy: copy.sql(*broken.statements))
    assert set(found) == {broken.named}, found


@pytest.mark.parametrize("name", IN_THE_BACKUP)
def test_damage_is_named(lab: Lab, name: str) -> None:
    broken = IN_THE_BACKUP[name]
    with lab.backed_up(broken.recipe) as (objects, ctx), lab.source_untouched():
        before = objects.etags()
        outcome = lab.exercise(ctx, broken.scenario)
        assert outcome.result != "success"
        follow = NEVER_UP | broken.follow
        assert set(wrong(outcome)) - (follow - {broken.named}) == {broken.named}, wrong(outcome)
        assert objects.etags() == before
