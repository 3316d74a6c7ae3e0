"""What pgBackRest says in JSON is read into records, and nobody else knows its fields."""

from __future__ import annotations

import ast
import inspect
import typing
from datetime import UTC, datetime
from pathlib import Path

import ops_platform
from ops_platform.clients.pgbackrest import PgBackRest, StanzaInfo, StoredEntry, TablespaceEntry, answers
from ops_platform_tests.backup.shapes import entry, info

PACKAGE = Path(ops_platform.__file__).parent
FIELDS = {"--output=json", "system-id", "repo-key", "pct-cplt", "destination"}
"""The words of its JSON that no other JSON has."""


def test_the_sets_of_a_stanza() -> None:
    full = entry(1, annotations={"run_id": "r"})
    incr = entry(2, "incr", prior=full["label"])
    told = StanzaInfo.parse(info([full, incr], databases=2))
    assert [taken.label for taken in told.sets] == [full["label"], incr["label"]]
    first, second = told.sets
    assert (first.prior, first.references, first.annotations) == (None, (), {"run_id": "r"})
    assert (second.prior, second.references, second.annotations) == (full["label"], (full["label"],), {})
    assert (first.size, first.delta, first.repo_size, first.repo_delta) == (100, 10, 40, 4)
    assert [(one.id, one.system_id, one.version) for one in told.databases] == [
        (1, 7001, "15"),
        (2, 7002, "15"),
    ]
    assert told.exists
    assert told.is_encrypted


def test_a_set_of_a_stopped_server_has_no_wal() -> None:
    offline = {**entry(1), "archive": {"start": None, "stop": None}, "lsn": {"start": None, "stop": None}}
    (taken,) = StanzaInfo.parse(info([offline])).sets
    assert (taken.wal_start, taken.wal_stop, taken.lsn_start, taken.lsn_stop) == (None, None, None, None)


def test_a_repository_that_cannot_be_read_says_why() -> None:
    failed = {"repo": [{"status": {"code": 99, "message": "[CryptoError] x"}}], "status": {"code": 99}}
    assert StanzaInfo.parse(failed).unreadable == "[CryptoError] x"


def test_entries_of_a_listing() -> None:
    file = StoredEntry.parse({"type": "file", "size": 7, "time": 1_800_000_000})
    assert file == StoredEntry(True, 7, 1_800_000_000)
    assert file.at == datetime.fromtimestamp(1_800_000_000, UTC)
    assert StoredEntry.parse({"type": "path"}) == StoredEntry(False)


def test_tablespaces_of_a_set() -> None:
    told = [{"backup": [{"label": "a", "tablespace": [{"oid": 16400, "name": "t", "destination": "/t"}]}]}]
    assert answers.tablespaces(told, "a") == [TablespaceEntry(16400, "t", "/t")]
    assert answers.tablespaces(told, "b") == answers.tablespaces([{"backup": [{"label": "b"}]}], "b") == []


def test_no_command_gives_its_json_away() -> None:
    public = {
        name: typing.get_type_hints(method)["return"]
        for name, method in inspect.getmembers(PgBackRest, inspect.isfunction)
        if not name.startswith("_")
    }
    assert "info" in public
    assert not [name for name, hint in public.items() if "Any" in str(hint)]


def test_nobody_else_knows_the_fields() -> None:
    knowing = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.value}"
        for path in PACKAGE.rglob("*.py")
        if path.parent != PACKAGE / "clients" / "pgbackrest"
        if any(field in (source := path.read_text(encoding="utf-8")) for field in FIELDS)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and node.value in FIELDS
    ]
    assert knowing == []
