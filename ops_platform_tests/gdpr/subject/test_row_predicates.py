"""Whose rows are whose: every way of the map, compared with SQL that was written by hand; in indexes."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner
from psycopg import sql

from ops_platform.cli import cli
from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.row_erasure import preview
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject import row_predicates as subject_rows
from ops_platform.gdpr.subject.identity import Identity
from ops_platform.local.demo import people
from ops_platform.local.servers.postgres_cluster import PostgresCluster

pytestmark = pytest.mark.services

BY_HAND = {
    ("creators", "account"): "SELECT count(*) FROM creators WHERE id = %(id)s",
    ("creators", "referrer"): "SELECT count(*) FROM creators WHERE referred_by = %(id)s",
    ("Billing Details", "payee"): """SELECT count(*) FROM "Billing Details" WHERE "creatorId" = %(id)s""",
    ("follows", "followed"): "SELECT count(*) FROM follows WHERE followed_id = %(id)s",
    ("posts", "author"): "SELECT count(*) FROM posts WHERE creator_id = %(id)s",
    ("posts", "collaborator"): "SELECT count(*) FROM posts WHERE %(id)s = ANY (collaborator_ids)",
    ("posts", "co-author"): """SELECT count(*) FROM posts WHERE EXISTS (
        SELECT FROM jsonb_array_elements(metadata -> 'co_authors') AS a WHERE a ->> 'id' = %(id)s::text)""",
    ("posts", "mentioned"): "SELECT count(*) FROM posts WHERE metadata -> 'mentions' ? %(handle)s",
    ("usage_logs", "user"): "SELECT count(*) FROM usage_logs WHERE creator_id = %(id)s",
    ("workflows", "approver"): """SELECT count(*) FROM workflows WHERE EXISTS (
        SELECT FROM jsonb_array_elements(definition -> 'approvers') AS a WHERE a ->> 'id' = %(id)s::text)""",
    ("workflows", "fallback"): """SELECT count(*) FROM workflows
        WHERE definition #>> '{fallback,notify}' = %(email)s""",
    ("workflows", "watcher"): "SELECT count(*) FROM workflows WHERE %(email)s = ANY (watcher_emails)",
    ("workflow_steps", "owner"): """SELECT count(*) FROM workflow_steps AS s
        JOIN workflows AS w ON w.id = s.workflow_id WHERE w.owner_id = %(id)s""",
    ("webhook_deliveries", "recipient"): """SELECT count(*) FROM webhook_deliveries AS d
        JOIN webhooks AS w ON w.id = d.webhook_id WHERE w.creator_id = %(id)s""",
    ("audit_logs", "subject by e-mail"): "SELECT count(*) FROM audit_logs WHERE subject_email = %(email)s",
    ("ledger_entries", "payee"): """SELECT count(*) FROM ledger_entries WHERE account_no =
        (SELECT "Account No" FROM "Billing Details" WHERE "creatorId" = %(id)s)""",
}


def who(connection: Connection, data_map: DataMap, key: str) -> Identity:
    found = subject_rows.identity(connection, data_map, catalogue.read(connection), key)
    assert found is not None
    return found


def test_rows_are_those_that_sql_by_hand_finds(demo: Connection, demo_map: DataMap) -> None:
    known = catalogue.read(demo)
    seen: set[tuple[str, str]] = set()
    for row in demo.execute("SELECT id::text FROM creators WHERE number <= 60 ORDER BY number").fetchall():
        one = who(demo, demo_map, row["id"])
        shares = {
            (each.table, each.role): each.rows
            for each in preview.preview(demo, demo_map, known, one)
            if not each.erasure.startswith("empty")
        }
        for place, query in BY_HAND.items():
            [counted] = demo.execute(query, dict(one.values)).fetchall()
            assert shares[place] == counted["count"], place
            if counted["count"]:
                seen.add(place)
    # Each way has found something: none is right because nothing is there.
    assert seen == set(BY_HAND)


def test_indexes_answer(demo: Connection, demo_map: DataMap) -> None:
    """No way is left that reads a whole table for one subject."""
    known = catalogue.read(demo)
    one = who(demo, demo_map, str(people.creator_id(3)))
    demo.execute("SET LOCAL enable_seqscan = off")
    for table, role in demo_map.belongings():
        condition = subject_rows.condition(demo_map, known, table.name, role, one, "t")
        asked = sql.SQL("EXPLAIN SELECT FROM {} AS t WHERE {}").format(table.name.identifier, condition)
        text = "\n".join(row["QUERY PLAN"] for row in demo.execute(asked).fetchall())
        assert "Seq Scan" not in text, (table.name, role.role, text)


def test_no_such_subject(demo: Connection, demo_map: DataMap) -> None:
    known = catalogue.read(demo)
    for key in (str(UUID(int=7)), "nonsense", "' OR true --", ""):
        assert subject_rows.identity(demo, demo_map, known, key) is None
    assert demo.execute("SELECT 1 AS one").fetchall() == [{"one": 1}]


def test_the_command_line_names_nobody(
    demo_cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("OPS_PRODUCT_DATABASE_URL", demo_cluster.url("ops_worker"))
    key = str(people.creator_id(1))
    asked = ["gdpr", "preview", "--subject-file", "-"]
    done = CliRunner().invoke(cli, [*asked, "--json"], input=f"{key}\n")
    assert done.exit_code == 0
    [one] = json.loads(done.stdout)
    posts = next(each for each in one["shares"] if (each["table"], each["role"]) == ("posts", "author"))
    assert posts["rows"] > 0
    assert key not in done.output
    done = CliRunner().invoke(cli, asked, input=f"{key}\n{UUID(int=7)}\n")
    assert done.exit_code == 1
    assert "subject 2: not there" in done.stdout
    assert "00000000" not in done.output
