from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.errors import ConfigurationError
from ops_platform.local.supervision import log_files


def test_without_a_service_the_names_are_given(tmp_path: Path) -> None:
    (tmp_path / "redis.log").touch()
    (tmp_path / "agent.log").touch()
    assert list(log_files.read(tmp_path, None, lines=5, follow=False)) == ["agent", "redis"]


def test_the_last_lines(tmp_path: Path) -> None:
    (tmp_path / "redis.log").write_text("a\nb\nc\n", encoding="utf-8")
    assert list(log_files.read(tmp_path, "redis", lines=2, follow=False)) == ["b", "c"]


@pytest.mark.parametrize("name", ["postgre", "../secrets/redis", ""])
def test_an_unknown_service_is_refused_with_an_offer(tmp_path: Path, name: str) -> None:
    (tmp_path / "redis.log").touch()
    with pytest.raises(ConfigurationError, match="there are: redis"):
        log_files.read(tmp_path, name, lines=2, follow=False)


def test_following_goes_on_across_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "redis.log"
    log.write_text("old\n", encoding="utf-8")
    lines = iter(log_files.read(tmp_path, "redis", lines=1, follow=True))
    assert next(lines) == "old"
    with log.open("a", encoding="utf-8") as file:
        file.write("more\n")
    assert next(lines) == "more"
    log.rename(tmp_path / "redis.log.1")
    log.write_text("fresh\n", encoding="utf-8")
    assert next(lines) == "fresh"


def test_the_last_word_prefers_a_complaint(tmp_path: Path) -> None:
    log = tmp_path / "redis.log"
    log.write_text("ImportError: no such module\nstarting again\n", encoding="utf-8")
    assert log_files.last_word(log) == f"ImportError: no such module ({log})"
    log.write_text("one\ntwo\n\n", encoding="utf-8")
    assert log_files.last_word(log) == f"two ({log})"
    assert "nothing" in log_files.last_word(tmp_path / "missing.log")
