"""A test starts at once: what every run imports is small, and the fast run imports no module in vain."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ops_platform_tests import halves, module_marks, worker_shares

TESTS = Path(__file__).parent
LIGHT = {"pytest", "ops_platform_tests.halves", "ops_platform_tests.turns", "ops_platform_tests.module_marks"}
"""What a conftest.py may import beside the standard library and other conftest.py."""


def imported_at_once(source: str) -> set[str]:
    """Name what the module's top level imports, but for type checkers."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "ops_platform_tests":
            names |= {f"ops_platform_tests.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return names


def is_light(name: str) -> bool:
    return (
        name.partition(".")[0] in sys.stdlib_module_names
        or name in LIGHT
        or (name.startswith("ops_platform_tests.") and name.endswith(".conftest"))
    )


@pytest.mark.parametrize("path", sorted(TESTS.rglob("conftest.py")), ids=lambda path: path.parent.name)
def test_a_conftest_imports_nothing_heavy(path: Path) -> None:
    assert [name for name in imported_at_once(path.read_text(encoding="utf-8")) if not is_light(name)] == []


def test_the_rule_has_teeth() -> None:
    source = "import psycopg\nfrom ops_platform_tests import services\nfrom ops_platform import files"
    assert not any(is_light(name) for name in imported_at_once(source))
    assert imported_at_once("if TYPE_CHECKING:\n    import psycopg\ndef f():\n    import boto3") == set()


def test_the_workers_shares_are_all_there_is_and_who_works_alone_has_none() -> None:
    def of(**attributes: object) -> list[int]:
        return list(worker_shares.share(range(10), cast(pytest.Config, SimpleNamespace(**attributes))))

    shares = [of(workerinput={"workerid": f"gw{number}", "workercount": 3}) for number in range(3)]
    assert sorted(number for one in shares for number in one) == list(range(10))
    assert {len(one) for one in shares} == {3, 4}
    assert of() == []


@pytest.mark.parametrize("plugin", ["schemathesis", "anyio"])
def test_plugins_that_nobody_uses_are_not_loaded(pytestconfig: pytest.Config, plugin: str) -> None:
    assert not pytestconfig.pluginmanager.hasplugin(plugin)


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("pytestmark = pytest.mark.services\nX = 3", True),
        (
            "import x\n\npytestmark = [\n    pytest.mark.timeout(9),\n    pytest.mark.full\n]\nX = 3",
            True,
        ),
        ("pytestmark: Any = pytest.mark.services", True),
        ("pytestmark = pytest.mark.timeout(60)  # not pytest.mark.services", False),
        ("@pytest.mark.services\ndef test_one(): ...", False),
        ("class TestOne:\n    pytestmark = pytest.mark.services", False),
        ("pytestmark = [", False),
        ("", False),
    ],
)
def test_marks_are_read_from_the_text(source: str, needed: bool) -> None:
    assert module_marks.needs_services(source) is needed


@pytest.mark.parametrize(
    ("source", "fast", "test", "full"),
    [
        ("pytestmark = pytest.mark.services", False, True, False),
        ("pytestmark = [pytest.mark.full, pytest.mark.timeout(9)]", False, False, True),
        ("@pytest.mark.full\ndef test_one(): ...", True, True, True),
        ("pytestmark = pytest.mark.services\n@pytest.mark.full\ndef test_one(): ...", False, True, True),
        ("def test_one(): ...", True, True, False),
    ],
)
def test_each_target_of_make_reads_what_it_may_run(source: str, fast: bool, test: bool, full: bool) -> None:
    expressions = ("not services and not processes", "not full", "full")
    assert [not module_marks.is_dropped(source, one) for one in expressions] == [fast, test, full]
    assert not module_marks.is_dropped(source, "")


def test_a_module_gives_marks_once_and_to_all_its_tests() -> None:
    """So what is read from its text is what pytest would find."""
    wrong = []
    for path in TESTS.rglob("test_*.py"):
        source = path.read_text(encoding="utf-8")
        given = re.findall(r"^([ \t]*)pytestmark\s*[:=]", source, re.MULTILINE)
        if path != Path(__file__) and given not in ([], [""]):
            wrong.append(path.name)
    assert wrong == []


def test_a_module_that_is_asked_for_is_read(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `pytest -m "not services" one_module.py` would say that there is no such file."""
    monkeypatch.delenv(halves.HALF, raising=False)
    path = TESTS / "api" / "test_schema.py"
    hook = pytestconfig.pluginmanager.get_plugin(str(TESTS / "conftest.py"))
    assert hook is not None

    class Asked:
        args = (f"{path}::test_any_request_gets_a_documented_answer",)

        def getoption(self, name: str) -> str:
            return "not services"

    asked = Asked()
    assert hook.pytest_ignore_collect(path, asked) is None
    asked.args = (str(TESTS),)
    assert hook.pytest_ignore_collect(path, asked) is True
    assert hook.pytest_ignore_collect(Path(__file__), asked) is None
    for half in ("0", "1"):
        monkeypatch.setenv(halves.HALF, half)
        assert hook.pytest_ignore_collect(Path(__file__), asked) is (True if half == "1" else None)
