"""Documents are parsed when any of them changes, however it is changed, and at no other look."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from ops_platform import files
from ops_platform.agent.loops.document_watch import DocumentWatch
from ops_platform.errors import ConfigurationError
from ops_platform.slo.objectives import Objective, openslo

DOCUMENT = (files.default_config_dir() / "objectives" / "api-availability.yaml").read_text(encoding="utf-8")


class Loading:
    """Counts how often documents are parsed."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, directory: Path) -> list[Objective]:
        self.times += 1
        return openslo.load_files(directory)


def test_documents_are_parsed_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, loading = tmp_path / "objectives", Loading()
    watch = DocumentWatch(directory, loading)
    assert watch.objectives() == []
    directory.mkdir()
    file = directory / "a.yaml"
    file.write_text(DOCUMENT, encoding="utf-8")
    # Just written: it may be written again within the same tick of the clock.
    loading.times = 0
    assert [watch.objectives(), watch.objectives()] == [openslo.load_files(directory)] * 2
    assert loading.times == 2
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 10_000_000_000)

    def parses() -> int:
        before = loading.times
        found = [watch.objectives() for _ in range(3)]
        assert found == [openslo.load_files(directory)] * 3
        return loading.times - before

    assert (parses(), parses()) == (1, 0)
    # Of the same size and time, in place of the old one.
    written = file.stat()
    other = tmp_path / "other"
    other.write_text(DOCUMENT.replace("0.999", "0.998"), encoding="utf-8")
    os.utime(other, ns=(written.st_atime_ns, written.st_mtime_ns))
    shutil.move(other, file)
    assert (parses(), parses()) == (1, 0)
    (directory / "b.yml").write_text(DOCUMENT.replace("name: availability", "name: other"), encoding="utf-8")
    assert (parses(), len(watch.objectives())) == (1, 2)
    (directory / "b.yml").unlink()
    assert (parses(), len(watch.objectives())) == (1, 1)


def test_a_wrong_document_is_told_at_every_look(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DOCUMENT.replace("0.999", "1.5"), encoding="utf-8")
    watch = DocumentWatch(tmp_path)
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            watch.objectives()
    (tmp_path / "a.yaml").write_text(DOCUMENT, encoding="utf-8")
    assert len(watch.objectives()) == 1
