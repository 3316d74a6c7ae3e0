"""The demo's map covers the demo's database; whatever is added to either without the other is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform import files
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.map_check import all_checks as map_check
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.local.servers.postgres_cluster import PostgresCluster

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def no_table_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's tables are: what is said of large ones is tested all the same."""
    monkeypatch.setattr(catalogue, "SMALL", -1)


def found(connection: Connection, data_map: DataMap) -> list[tuple[str, str]]:
    return [(one.where, one.code) for one in map_check.check(connection, data_map)]


def test_the_demo_is_covered(demo: Connection, demo_map: DataMap) -> None:
    assert map_check.check(demo, demo_map) == []


def test_a_role_that_may_only_read_finds_the_same(demo_cluster: PostgresCluster, demo_map: DataMap) -> None:
    with postgres.session(demo_cluster.url("ops_worker")) as reader:
        assert map_check.check(reader, demo_map) == []


def test_a_view_that_this_role_cannot_refresh(
    demo_cluster: PostgresCluster, demo: Connection, tmp_path: Path
) -> None:
    """Its owner can; others need the function that the demo's map names."""
    text = (files.default_config_dir() / "data_map.yaml").read_text()
    (tmp_path / "map.yaml").write_text(text.replace("    refresh: refresh_creator_stats\n", ""))
    without = map_file.load(tmp_path / "map.yaml")
    assert found(demo, without) == []
    with postgres.session(demo_cluster.url("ops_worker")) as reader:
        assert found(reader, without) == [("creator_stats", "no-refresh")]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ("ALTER TABLE creators ADD nickname text", ("creators.nickname", "unclassified-column")),
        ("CREATE TABLE letters (id int PRIMARY KEY)", ("letters", "unclassified-relation")),
        ("CREATE TABLE usage_logs_old (LIKE usage_logs)", ("usage_logs_old", "unclassified-relation")),
        ("CREATE VIEW names AS SELECT full_name FROM creators", ("names", "unclassified-relation")),
        (
            "CREATE MATERIALIZED VIEW names AS SELECT full_name FROM creators",
            ("names", "unclassified-relation"),
        ),
        (
            "CREATE OR REPLACE VIEW creator_directory AS SELECT c.id, c.handle, p.display_name, p.location, "
            "c.email FROM creators c JOIN profiles p ON p.creator_id = c.id",
            ("creator_directory.email", "unclassified-column"),
        ),
        ("CREATE SCHEMA old; CREATE TABLE old.posts (id int)", ("old.posts", "unclassified-relation")),
        (
            "CREATE TABLE special_posts (secret text) INHERITS (posts)",
            ("special_posts", "unclassified-relation"),
        ),
        ("ALTER TABLE profiles DROP COLUMN website", ("profiles.website", "no-such-column")),
        ("DROP TABLE collaborations", ("collaborations", "no-such-table")),
        ("DROP VIEW creator_directory", ("creator_directory", "no-such-view")),
        (
            "UPDATE posts SET metadata = jsonb_set(metadata, '{reviewer}', '{\"mail\": \"x\"}') "
            "WHERE id = (SELECT min(id) FROM posts)",
            ("posts.metadata reviewer.mail", "unclassified-document"),
        ),
        (
            "ALTER TABLE posts ADD reviewer_id uuid REFERENCES creators (id)",
            ("posts.reviewer_id", "unlinked-reference"),
        ),
        (
            "ALTER TABLE posts ADD reviewer_id uuid REFERENCES creators (id)",
            ("posts.reviewer_id", "no-index"),
        ),
        (
            "CREATE TABLE notes (workflow_id uuid PRIMARY KEY REFERENCES workflows (id) ON DELETE CASCADE)",
            ("notes.workflow_id", "reference-left"),
        ),
        ("DROP INDEX sessions_creator_id_idx", ("sessions (visitor)", "no-index")),
        (
            "DROP INDEX sessions_creator_id_idx; "
            "CREATE INDEX by_expression ON sessions (lower(user_agent), creator_id)",
            ("sessions (visitor)", "no-index"),
        ),
        ("DROP INDEX posts_metadata_idx", ("posts (mentioned)", "no-index")),
        (
            "ALTER TABLE webhook_deliveries DROP CONSTRAINT webhook_deliveries_pkey",
            ("webhook_deliveries", "no-key"),
        ),
        (
            "ALTER TABLE sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            ("sessions", "row-security"),
        ),
        (
            "CREATE FUNCTION copy_away() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN INSERT INTO audit_logs (action, message) VALUES ('x', OLD.email); RETURN OLD; END$$; "
            "CREATE TRIGGER copies BEFORE DELETE ON creators FOR EACH ROW EXECUTE FUNCTION copy_away()",
            ("creators.copies", "trigger"),
        ),
        (
            "CREATE RULE copies AS ON DELETE TO sessions DO ALSO INSERT INTO audit_logs (action, message) "
            "VALUES ('x', OLD.user_agent)",
            ("sessions.copies", "trigger"),
        ),
        ("ALTER TABLE posts ALTER editor_id SET NOT NULL", ("posts (editor)", "not-null")),
        (
            "ALTER TABLE creators ADD born_in text NOT NULL DEFAULT ''; "
            "ALTER TABLE creators ALTER born_in DROP DEFAULT",
            ("creators (stand-in)", "not-null"),
        ),
        (
            "ALTER TABLE creators DROP CONSTRAINT creators_featured_post_id_fkey; "
            "ALTER TABLE creators ALTER featured_post_id SET NOT NULL; ALTER TABLE creators ADD FOREIGN KEY "
            "(featured_post_id) REFERENCES posts (id)",
            ("creators", "circle"),
        ),
        ("ALTER TABLE webhooks DROP COLUMN created_at", ("webhooks", "no-such-column")),
        (
            "ALTER TABLE webhooks ALTER created_at DROP DEFAULT, ALTER created_at TYPE date",
            ("webhooks.created_at", "other-type"),
        ),
        ("DROP FUNCTION refresh_creator_stats", ("creator_stats", "no-such-function")),
        (
            "ALTER TABLE audit_logs ALTER subject_email TYPE bigint USING NULL",
            ("audit_logs (subject by e-mail)", "other-type"),
        ),
    ],
)
def test_a_changed_database_is_noticed(
    demo: Connection, demo_map: DataMap, demo_cluster: PostgresCluster, change: str, finding: tuple[str, str]
) -> None:
    demo.execute(
        "UPDATE creators SET featured_post_id = coalesce(featured_post_id, (SELECT min(id) FROM posts))"
    )
    demo.execute("UPDATE posts SET editor_id = coalesce(editor_id, creator_id)")
    demo.execute("SET CONSTRAINTS ALL IMMEDIATE")
    demo.execute(change)
    assert finding in found(demo, demo_map)


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (
            "    personal: [display_name, bio,",
            "    personal: [display_name,",
            ("profiles.bio", "unclassified-column"),
        ),
        (
            "    personal: [title, body]",
            "    personal: [title, body, creator_id]",
            ("posts.creator_id", "classified-twice"),
        ),
        ('        "tags[*]": plain\n', "", ("posts.metadata tags[*]", "unclassified-document")),
        (
            "column: editor_id\n        erase: {anonymise: {editor_id: null}}",
            "column: editor_id\n        erase: {anonymise: {title: {value: x}}}",
            ("posts (editor)", "still-linked"),
        ),
        (
            "array: collaborator_ids, erase: remove",
            "column: collaborator_ids, erase: delete",
            ("posts (collaborator)", "other-type"),
        ),
        (
            "{role: profile, column: creator_id, erase: delete, export: own}",
            "{role: profile, column: creator_id, erase: delete, export: [bio, age]}",
            ("profiles (profile)", "no-such-column"),
        ),
        ("    purpose: To pay you.", "    purpose: 'TODO: why?'", ("Billing Details", "undecided")),
        (
            "erase: {anonymise: {referred_by: null}}",
            "erase: {anonymise: {referred_by: null, email_normalised: null}}",
            ("creators (referrer)", "generated"),
        ),
        ("    full_name: {value: Erased}\n", "", ("creators (stand-in)", "not-null")),
        (
            "      - {role: profile, column: creator_id, erase: delete, export: own}",
            "      - {role: profile, column: creator_id, erase: {keep: {basis: x, term: y}}, export: own}",
            ("profiles.creator_id", "reference-left"),
        ),
    ],
)
def test_a_changed_map_is_noticed(
    demo: Connection, tmp_path: Path, old: str, new: str, finding: tuple[str, str]
) -> None:
    text = (files.default_config_dir() / "data_map.yaml").read_text()
    changed = text.replace(old, new)
    assert changed != text
    (tmp_path / "map.yaml").write_text(changed)
    assert finding in found(demo, map_file.load(tmp_path / "map.yaml"))


def test_columns_that_are_unique_in_their_small_letters(demo: Connection) -> None:
    demo.execute(
        """
        CREATE TABLE members
            (tenant_id int, email varchar(60), handle text, "Nick name" text, active boolean);
        CREATE UNIQUE INDEX ON members (tenant_id, lower(email));
        CREATE UNIQUE INDEX ON members (upper("Nick name"), tenant_id);
        CREATE UNIQUE INDEX ON members (tenant_id, nullif(handle, 'x'));
        CREATE UNIQUE INDEX ON members (lower(handle)) WHERE active;
        """
    )
    members = catalogue.read(demo).relations[Name("public", "members")]
    assert members.unique == {("tenant_id", "email"), ("Nick name", "tenant_id")}
