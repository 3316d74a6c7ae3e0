"""A draft covers everything, and is refused until people have written what only they know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from ops_platform.cli import cli
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.map_check import all_checks as map_check
from ops_platform.gdpr.map_check import draft
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.gdpr.erasing import Product

pytestmark = pytest.mark.services


def test_a_draft_leaves_nothing_unclassified(demo: Connection, tmp_path: Path) -> None:
    text = draft.draft(catalogue.read(demo), Name("public", "creators"), ["id"], "email")
    (tmp_path / "map.yaml").write_text(text)
    drafted = map_file.load(tmp_path / "map.yaml")
    codes = {one.code for one in map_check.check(demo, drafted)}
    # What is left is for people: texts, and what cannot be deleted as simply as a draft proposes.
    # Without values, the name of a session that is gone looks like a reference.
    assert codes <= {"undecided", "reference-left", "circle", "no-index", "untrue-reference"}
    assert "undecided" in codes
    by_role = {(str(table.name), one.role) for table, one in drafted.belongings()}
    assert {("posts", "editor"), ("follows", "followed"), ("webhook_deliveries", "webhook")} <= by_role
    assert "email" in drafted.tables[Name("public", "creators")].personal


def test_a_subject_that_is_not_there(demo: Connection) -> None:
    with pytest.raises(CheckFailed, match="no table people"):
        draft.draft(catalogue.read(demo), Name("public", "people"), ["id"], "email")
    with pytest.raises(CheckFailed, match="no column mail"):
        draft.draft(catalogue.read(demo), Name("public", "creators"), ["id"], "mail")


def test_keys_of_several_columns(bare_product: Product, tmp_path: Path) -> None:
    with bare_product.owner() as owner:
        owner.execute(
            """
            CREATE TABLE members (tenant int, id int, email text, PRIMARY KEY (tenant, id));
            CREATE TABLE orders (tenant int, no int, buyer int, PRIMARY KEY (tenant, no),
                                 FOREIGN KEY (tenant, buyer) REFERENCES members ON DELETE SET NULL (buyer));
            CREATE TABLE lines (tenant int, no int, line int, PRIMARY KEY (tenant, no, line),
                                FOREIGN KEY (tenant, no) REFERENCES orders);
            CREATE INDEX ON orders (tenant, buyer);
            """
        )
        text = draft.draft(catalogue.read(owner), Name("public", "members"), ["tenant", "id"], "email")
        file = tmp_path / "map.yaml"
        file.write_text(text.replace("TODO: ", ""))
        assert map_check.check(owner, map_file.load(file)) == []
    [buyer] = yaml.safe_load(text)["tables"]["orders"]["rows"]
    assert buyer["column"] == ["tenant", "buyer"]
    assert buyer["erase"] == {"anonymise": {"buyer": None}}


def test_the_command_line(
    demo_cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("OPS_PRODUCT_DATABASE_URL", demo_cluster.url("ops_worker"))
    done = CliRunner().invoke(cli, ["gdpr", "map", "check"])
    assert (done.exit_code, "are covered" in done.stdout) == (0, True)
    drafted = CliRunner().invoke(cli, ["gdpr", "map", "draft", "--subject", "creators"])
    assert drafted.exit_code == 0
    (tmp_path / "map.yaml").write_text(drafted.stdout)
    done = CliRunner().invoke(
        cli, ["gdpr", "map", "check", "--data-map", str(tmp_path / "map.yaml"), "--json"]
    )
    assert done.exit_code == 1
    assert "undecided" in {one["code"] for one in json.loads(done.stdout)["findings"]}
