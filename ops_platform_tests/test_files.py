"""Files are there whole or not at all, and stay there when the machine loses power."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ops_platform import files


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was given to fsync, in order."""
    seen: list[str] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        seen.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return seen


def test_the_text_is_flushed_before_the_name_and_the_name_after(
    tmp_path: Path, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.replace

    def noted(self: Path, target: Path) -> Path:
        flushed.append("rename")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    files.write_atomically(tmp_path / "a", "one")
    assert flushed == ["file", "rename", "directory"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "one"


def test_it_is_the_owners_alone_unless_another_mode_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write_atomically(path, "one")
    assert path.stat().st_mode & 0o777 == 0o600
    files.write_atomically(path, "two", mode=0o644)
    assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == ("two", 0o644)
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_handed_over_before_it_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def handed(begun: Path) -> None:
        assert begun != path
        assert begun.read_text(encoding="utf-8") == "one"
        assert not path.exists()

    files.write_atomically(path, "one", hand_over=handed)
    assert path.exists()


@pytest.mark.parametrize("where", ["fsync", "hand_over", "block"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    path = tmp_path / "a"
    path.write_text("one", encoding="utf-8")

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)

    def write() -> None:
        with files.replacing(path, hand_over=full if where == "hand_over" else None) as file:
            file.write(b"two")
            if where == "block":
                full(None)

    with pytest.raises(OSError, match="No space"):
        write()
    assert path.read_text(encoding="utf-8") == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_that_flushes_no_directories_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def picky(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", picky)
    files.write_atomically(tmp_path / "a", "one")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "one"
