"""``ops-platform gdpr hold`` on real databases."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from ops_platform import files
from ops_platform.cli.gdpr import gdpr
from ops_platform.clients.postgres import connection as postgres
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.tombstones import legal_holds
from ops_platform.local.demo import people
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import Settings
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services
SUBJECT = people.creator_id(1)


@pytest.fixture
def run(
    demo_cluster: PostgresCluster,
    ops_database: OpsDatabase,
    settings_for: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Result]:
    settings = settings_for(demo_cluster, database=ops_database)
    for name, value in settings.environ.items():
        monkeypatch.setenv(name, value.get_secret_value())
    map_file = str(files.default_config_dir() / "data_map.yaml")

    def run(*arguments: str, keys: str = "") -> Result:
        more = ("--data-map", map_file) if arguments[0] == "place" else ()
        return CliRunner().invoke(gdpr, ["hold", *arguments, *more], input=keys)

    return run


def place(run: Callable[..., Result], keys: str) -> Result:
    return run("place", "--subject-file", "-", "--basis", "claim 2026/17", "--by", "counsel", keys=keys)


def test_a_hold_is_placed_listed_without_the_subject_and_released(
    run: Callable[..., Result], ops_database: OpsDatabase, demo_cluster: PostgresCluster
) -> None:
    placed = place(run, f"{str(SUBJECT).upper()}\n")
    assert placed.exit_code == 0, placed.exception
    of = SubjectKey(demo_cluster.name, "creator", str(SUBJECT), "uuid")
    with postgres.session(ops_database.url("ops_worker")) as ops:
        [hold] = legal_holds.active(ops, of)
    listed = run("list", "--json")
    assert str(SUBJECT) not in placed.output + listed.output
    [shown] = json.loads(listed.output)
    assert (shown["id"], shown["basis"], shown["placed_by"]) == (hold.id, "claim 2026/17", "counsel")
    # Keys of two kinds may be equal, and each stanza has its own.
    assert (shown["kind"], shown["stanza"]) == ("creator", demo_cluster.name)
    assert run("release", str(hold.id)).exit_code == 0
    assert json.loads(run("list", "--json").output) == []
    again = run("release", str(hold.id))
    assert getattr(again.exception, "exit_code", None) == 1


@pytest.mark.parametrize("keys", ["", "\n", f"{SUBJECT}\n{SUBJECT}\n", "no key at all\n"])
def test_anything_but_one_key_is_refused_and_not_repeated(run: Callable[..., Result], keys: str) -> None:
    refused = place(run, keys)
    assert getattr(refused.exception, "exit_code", None) == 2
    assert "no key at all" not in str(refused.exception)
