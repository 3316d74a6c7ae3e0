"""The files of the sets, listed a thousand a request, are what pgBackRest itself lists folder by folder."""

from __future__ import annotations

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
from ops_platform.clients.pgbackrest import Layout
from ops_platform_tests.backup.site import Site


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
