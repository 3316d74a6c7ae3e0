from __future__ import annotations

from pathlib import Path

from ops_platform.local.host.secrets import SecretStore, write_private


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets")
    first = store.token("one")
    assert len(first) >= 32
    assert store.token("one") == first
    assert store.token("two") != first


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets")
    store.token("one")
    assert store.directory.stat().st_mode & 0o777 == 0o700
    assert store.path("one").stat().st_mode & 0o777 == 0o600


def test_writing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write_private(path, "text")
    before = path.stat()
    assert not write_private(path, "text")
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_a_loose_mode_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "text")
    path.chmod(0o644)
    assert write_private(path, "text")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_half_written_file_of_a_killed_process_does_not_matter(tmp_path: Path) -> None:
    for name in (".file.new", ".file.a1b2c3.new"):
        (tmp_path / name).write_text("half", encoding="utf-8")
    write_private(tmp_path / "file", "whole")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
