"""What is listed and read with requests of our own is what pgBackRest itself says."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from ops_platform.backup.proof import FilesLook
from ops_platform.backup.repository import StoredFiles
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.stanza.model import Repository
from ops_platform.clients import object_store
from ops_platform.clients.object_store import StoredObject
from ops_platform.clients.pgbackrest import Layout, StanzaInfo
from ops_platform_tests.backup.site import Done, Site


@pytest.mark.parametrize(("path", "prefix"), [("/", ""), ("/a/b", "a/b/")])
def test_the_files_are_listed_where_the_repository_lies(
    path: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def listing(below: str, *, start_after: str) -> list[StoredObject]:
        asked.append(f"{below} {start_after}")
        return []

    store = SimpleNamespace(list=listing)
    monkeypatch.setattr(object_store, "from_settings", lambda settings, role: store)
    ctx = SimpleNamespace(
        settings=None,
        config=SimpleNamespace(repository=Repository("bucket", path, "", 7)),
        pgbackrest=SimpleNamespace(layout=Layout("product")),
    )
    stored = StoredFiles.open(cast(BackupContext, ctx))
    assert list(stored.of_sets(Layout("product"))) == []
    assert list(stored.of_sets(Layout("product"), "2026")) == []
    assert asked == [f"{prefix}backup/product/ ", f"{prefix}backup/product/ {prefix}backup/product/2026"]


@pytest.mark.services
def test_both_listings_agree(backed_up: Site) -> None:
    ours = FilesLook.of(backed_up.context)
    assert ours.flat is not None
    listed = ours._list_all()
    assert set(listed) == set(backed_up.labels())
    assert listed == replace(ours, flat=None)._list_all()


@pytest.mark.services
def test_the_index_says_what_info_says(backed_up: Site, second_backup: Done) -> None:
    asked = backed_up.context.pgbackrest
    (told,) = json.loads(asked._ask("info", "--output=json"))
    assert len(told["backup"]) >= 2
    assert asked._indexed() == StanzaInfo.parse(told)
