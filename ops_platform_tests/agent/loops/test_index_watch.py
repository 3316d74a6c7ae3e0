"""What the watch on a repository's index tells when the ledger's bucket does not take it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.agent.loops import index_watch
from ops_platform.agent.loops.index_watch import IndexWatch
from ops_platform.agent.metrics import IndexState
from ops_platform.backup.repository import StoredFiles, index_files
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.taking import preflight
from ops_platform.clients.pgbackrest import Layout
from ops_platform.errors import ConfigurationError, OpsError, Unavailable

PAIR = SimpleNamespace(name="backup.info", bad=(), good=b"index")
GONE = SimpleNamespace(name="backup.info", bad=(1, 2), good=None)


class Ledger:
    """A stand-in for the ledger's bucket, which refuses with ``error`` until there is none."""

    def __init__(self, error: OpsError | None) -> None:
        self.error = error
        self.known_while_keeping: list[bool | None] = []
        self.state = IndexState(60)
        self.kept_versions: list[str] = []

    def is_configured(self, _settings: object) -> bool:
        return True

    def open(self, _settings: object, _stanza: str) -> Ledger:
        return self

    def versions(self, _name: str) -> list[str]:
        return self.kept_versions

    def keep(self, _pairs: Sequence[object], _now: datetime) -> list[str]:
        self.known_while_keeping.append(self.state.kept.get())
        if self.error is not None:
            raise self.error
        return []


def watch(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> IndexWatch:
    context = cast(BackupContext, SimpleNamespace(settings=None, stanza=SimpleNamespace(name="product")))
    monkeypatch.setattr(index_watch, "KeptIndex", ledger)
    monkeypatch.setattr(preflight, "reach_endpoint", lambda _context: None)
    monkeypatch.setattr(index_files, "look", lambda _context: [PAIR, PAIR])
    etags = iter(range(100))

    def changing(_self: IndexWatch, _context: Any) -> tuple[str, ...]:
        return (str(next(etags)),)

    monkeypatch.setattr(IndexWatch, "_etags", changing)
    return IndexWatch(lambda: context, ledger.state)


@pytest.mark.parametrize("error", [Unavailable("away"), ConfigurationError("no key")])
def test_an_index_that_the_ledger_refuses_is_told_as_not_kept(
    monkeypatch: pytest.MonkeyPatch, error: OpsError
) -> None:
    ledger = Ledger(error)
    seen = watch(monkeypatch, ledger)
    for _look in range(2):
        with pytest.raises(type(error)):
            seen.step()
        assert (ledger.state.lost.get(), ledger.state.damaged_files.get()) == (False, 0)
        assert ledger.state.kept.get() is False
    # While it is tried again, it does not read as unknown: an alert would begin anew each time.
    assert ledger.known_while_keeping == [None, False]
    ledger.error = None
    seen.step()
    assert ledger.state.kept.get() is True


def test_an_index_that_was_kept_is_lost_when_all_of_the_stanza_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = Ledger(None)
    seen = watch(monkeypatch, ledger)
    monkeypatch.setattr(index_files, "look", lambda _context: [GONE, GONE])
    monkeypatch.setattr(index_files, "was_ever_made", lambda _context, _pairs: False)
    seen.step()
    assert (ledger.state.lost.get(), ledger.state.damaged_files.get()) == (False, 0), "there never was one"
    ledger.kept_versions = ["2026-11-..."]
    seen.step()
    assert (ledger.state.lost.get(), ledger.state.damaged_files.get()) == (True, 4)
    assert ledger.state.kept.get() is False


def test_what_another_loop_asked_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    known: list[str | None] = [None]

    class Stored:
        def etags(self, paths: Iterable[str]) -> tuple[str, ...]:
            asked.append(tuple(paths))
            return ("a",) * len(asked[-1])

    context = cast(
        BackupContext,
        SimpleNamespace(
            settings=None,
            stanza=SimpleNamespace(name="product"),
            pgbackrest=SimpleNamespace(layout=Layout("product")),
        ),
    )
    ledger = Ledger(None)
    monkeypatch.setattr(index_watch, "KeptIndex", ledger)
    monkeypatch.setattr(preflight, "reach_endpoint", lambda _context: None)
    monkeypatch.setattr(index_files, "look", lambda _context: [PAIR, PAIR])
    monkeypatch.setattr(StoredFiles, "open", lambda _context: Stored())
    seen = IndexWatch(lambda: context, ledger.state, lambda: known[0])
    paths = Layout("product")
    own = (paths.backup_info,)
    others = (paths.archive_info, f"{paths.backup_info}.copy", f"{paths.archive_info}.copy")
    seen.step()
    assert asked == [own, others]
    seen.step()
    assert asked[2:] == [own, others], "it looked at all since, and so at the others again"
    seen.step()
    assert asked[4:] == [own]
    known[0] = "a"
    seen.step()
    assert asked[5:] == []
    known[0] = "another"
    seen.step()
    assert asked[5:] == [others], "what changed is looked at with the others"
