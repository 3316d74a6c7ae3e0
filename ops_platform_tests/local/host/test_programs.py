from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.errors import ConfigurationError
from ops_platform.local.host import programs


def _install(root: Path, *majors: int) -> None:
    for major in majors:
        (root / str(major) / "bin").mkdir(parents=True)
        (root / str(major) / "bin" / "postgres").touch()


def test_the_newest_one_that_can_be_backed_up_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, 9, 15, 17)
    monkeypatch.setattr(programs, "POSTGRES_ROOT", tmp_path)
    assert programs.find_postgres((2, 45)).major == 15
    assert programs.find_postgres((2, 55)).major == 17


def test_a_pgbackrest_too_old_for_every_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, 17)
    monkeypatch.setattr(programs, "POSTGRES_ROOT", tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"pgBackRest 2\.45 supports PostgreSQL up to 15, installed is 17"
    ):
        programs.find_postgres((2, 45))


def test_without_postgres_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "POSTGRES_ROOT", tmp_path)
    with pytest.raises(ConfigurationError, match="apt-get install postgresql"):
        programs.find_postgres((2, 45))


def test_a_cluster_keeps_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, 15, 17)
    monkeypatch.setattr(programs, "POSTGRES_ROOT", tmp_path)
    assert programs.postgres_of_version(15, tmp_path).major == 15
    with pytest.raises(ConfigurationError, match="postgresql-16"):
        programs.postgres_of_version(16, tmp_path)


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(programs.DEBIAN_PACKAGES, "no-such-program", "its-package")
    with pytest.raises(ConfigurationError) as caught:
        programs.find("no-such-program")
    assert str(caught.value) == "the program no-such-program is missing: apt-get install its-package"
