"""A creator of the demo is erased from every table; SQL by hand shows that nobody else was touched."""

from __future__ import annotations

import pytest

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.local.demo import people
from ops_platform_tests.gdpr.erasing import Product, erasing, left

pytestmark = pytest.mark.services

HEAVY = str(people.creator_id(1))


def others(connection: Connection, key: str) -> dict[str, tuple[object, ...]]:
    """What belongs to everybody else and names nobody but them, by hand and without the map."""
    queries = {
        "creators": """SELECT id, number, handle, email, full_name, phone, status, created_at
                       FROM creators WHERE id <> %(id)s AND full_name <> 'Erased'""",
        "profiles": "SELECT * FROM profiles WHERE creator_id <> %(id)s",
        "billing": 'SELECT * FROM "Billing Details" WHERE "creatorId" <> %(id)s',
        "follows": "SELECT * FROM follows WHERE follower_id <> %(id)s AND followed_id <> %(id)s",
        "sessions": "SELECT * FROM sessions WHERE creator_id <> %(id)s",
        "posts": """SELECT id, creator_id, title, body, status, metadata -> 'tags', created_at FROM posts
                    WHERE creator_id <> %(id)s AND title <> '[removed]'""",
        "collaborators": """SELECT p.id, c FROM posts AS p, unnest(collaborator_ids) AS c
                            WHERE p.creator_id <> %(id)s AND c <> %(id)s AND title <> '[removed]'""",
        "co-authors": """SELECT p.id, c FROM posts AS p, jsonb_array_elements(metadata -> 'co_authors') AS c
                         WHERE p.creator_id <> %(id)s AND c ->> 'id' <> %(id)s::text
                         AND title <> '[removed]'""",
        "comments": """SELECT id, post_id, author_id, parent_id, body FROM comments
                       WHERE author_id <> %(id)s AND body <> '[removed]'""",
        "media": "SELECT * FROM media WHERE creator_id <> %(id)s",
        "collaborations": """SELECT * FROM collaborations
                             WHERE inviter_id <> %(id)s AND invitee_id <> %(id)s""",
        "usage": "SELECT * FROM usage_logs WHERE creator_id <> %(id)s",
        "workflows": """SELECT id, owner_id, name, definition -> 'steps', created_at FROM workflows
                        WHERE owner_id <> %(id)s""",
        "watchers": """SELECT w.id, e FROM workflows AS w, unnest(watcher_emails) AS e
                       WHERE owner_id <> %(id)s AND e <> %(email)s""",
        "approvers": """SELECT w.id, a
                        FROM workflows AS w, jsonb_array_elements(definition -> 'approvers') AS a
                        WHERE owner_id <> %(id)s AND a ->> 'id' <> %(id)s::text""",
        "steps": """SELECT workflow_id, position, action, status FROM workflow_steps
                    WHERE workflow_id IN (SELECT id FROM workflows WHERE owner_id <> %(id)s)""",
        "webhooks": "SELECT * FROM webhooks WHERE creator_id <> %(id)s",
        "deliveries": """SELECT * FROM webhook_deliveries
                         WHERE webhook_id IN (SELECT id FROM webhooks WHERE creator_id <> %(id)s)""",
        "audit": """SELECT * FROM audit_logs WHERE actor_id IS DISTINCT FROM %(id)s
                    AND subject_id IS DISTINCT FROM %(id)s AND subject_email IS DISTINCT FROM %(email)s
                    AND message <> '[erased]'""",
        "ledger": "SELECT * FROM ledger_entries",
    }
    [row] = connection.execute("SELECT id, email FROM creators WHERE id = %s", (key,)).fetchall() or [NAMES]
    NAMES.update(row)
    found: dict[str, tuple[object, ...]] = {}
    for name, query in queries.items():
        counted = f"SELECT count(*) AS n, sum(hashtextextended(q::text, 0)::numeric) AS d FROM ({query}) AS q"
        [answer] = connection.execute(counted, row).fetchall()
        found[name] = (answer["n"], answer["d"])
    return found


NAMES: dict[str, object] = {}
"""Of whom ``others`` was asked about last: after the erasure nobody else knows."""


def changed(effects: list[Effect]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for one in effects:
        if not one.action.startswith("empty"):
            found[one.place, one.role] = found.get((one.place, one.role), 0) + one.changed
    return found


@pytest.mark.parametrize("number", [1, 2, 7])
def test_a_creator_is_gone_and_nobody_else_is_touched(
    demo_product: Product, demo_map: DataMap, number: int
) -> None:
    key = str(people.creator_id(number))
    with demo_product.owner() as owner, demo_product.eraser() as eraser:
        before = others(owner, key)
        known = catalogue.read(eraser)
        what = erasing(eraser, demo_map, key)
        told: list[tuple[str, int]] = []
        effects = row_erasure.erase(
            eraser, demo_map, known, what, batch=100, progress=lambda place, rows: told.append((place, rows))
        )
        assert left(eraser, demo_map, what) == ([], [])
        assert others(owner, key) == before
        assert sum(one.changed for one in effects) > 20
        assert {place for place, _ in told} == {one.place for one in effects if one.changed}
        for one in effects:
            assert one.after == (one.before if one.action.startswith("keep") else 0), one
            assert one.changed == (0 if one.action.startswith("keep") else one.before), one
        again = row_erasure.erase(eraser, demo_map, known, what)
        assert again == effects
        row_erasure.forget(eraser, what.erasure_id)
        row_erasure.forget(eraser, what.erasure_id)
        assert eraser.execute("SELECT FROM ops_platform.erasure_steps").fetchall() == []
        assert sum(one.changed for one in row_erasure.erase(eraser, demo_map, known, what)) == 0


def test_a_subject_that_is_not_there_has_nothing_to_erase(demo_product: Product, demo_map: DataMap) -> None:
    with demo_product.owner() as owner, demo_product.eraser() as eraser:
        what = erasing(eraser, demo_map, HEAVY)
        known = catalogue.read(eraser)
        row_erasure.erase(eraser, demo_map, known, what)
        before = demo_product.digest()
        effects = row_erasure.erase(
            eraser, demo_map, known, row_erasure.RowErasure("another", what.identity, what.cutoff)
        )
        assert {one.changed for one in effects} == {0}
        assert demo_product.digest() == before
        assert owner.execute("SELECT count(*) AS n FROM creators WHERE full_name = 'Erased'").fetchone() == {
            "n": 1
        }
