"""The demo's past beside the rest of ``up``: it never stands in its way."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops_platform.local import demo_history
from ops_platform.local.components import Components
from ops_platform.local.demo_history import DemoHistory
from ops_platform.settings import load_settings


class Up:
    """A DemoHistory of a state directory, and what it said."""

    def __init__(self, state: Path, **environ: str) -> None:
        self.said: list[str] = []
        (state / "prometheus").mkdir(exist_ok=True)
        parts: Any = SimpleNamespace(
            layout=SimpleNamespace(state_dir=state),
            prometheus=SimpleNamespace(data_dir=state / "prometheus", url="http://127.0.0.1:1"),
            ports={"traffic": 9000},
            stack_id="test",
            url=lambda name: "http://127.0.0.1:1",
        )
        settings = load_settings({"OPS_STATE_DIR": str(state), "OPS_CONFIG_DIR": str(state), **environ})
        self.history = DemoHistory(cast(Components, parts), settings, self.said.append)

    def run(self) -> list[str]:
        self.history.begin()
        self.history.count()
        self.history.finish(lambda what, fraction: None)
        return self.said


def test_none_was_wanted(tmp_path: Path) -> None:
    assert Up(tmp_path, OPS_DEMO_HISTORY_DAYS="0").run() == []
    assert [path.name for path in tmp_path.iterdir()] == ["prometheus"]


def test_a_stack_that_has_lived_without_gets_none(tmp_path: Path) -> None:
    (tmp_path / "prometheus" / "data" / "wal").mkdir(parents=True)
    assert Up(tmp_path).run() == []
    assert not (tmp_path / "demo-history.json").exists()


@pytest.mark.parametrize("loader", ["no.such.module", "ops_platform.local.demo.people"])
def test_what_fails_is_one_line_and_the_next_up_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: str
) -> None:
    monkeypatch.setattr(demo_history, "LOADER", loader)
    for _ in range(2):
        [line] = Up(tmp_path, OPS_DEMO_HISTORY_DAYS="1").run()
        assert line.startswith("the demo's history is not complete: ")
        assert line.endswith("; the next 'up' tries again")
        assert "\n" not in line


def test_a_damaged_record_is_said(tmp_path: Path) -> None:
    (tmp_path / "demo-history.json").write_text("{}", encoding="utf-8")
    [line] = Up(tmp_path).run()
    assert "demo-history.json is damaged: delete it" in line
