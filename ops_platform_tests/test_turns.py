"""The order of the groups names only what is there."""

from __future__ import annotations

import re
from pathlib import Path

from ops_platform_tests import module_marks, turns


def test_every_name_is_a_module_or_a_group_of_several() -> None:
    named = {name for name in turns.LONGEST if name.endswith(".py")}
    assert set(turns.LONGEST) - named == {"stack", "stack-faults"}
    assert [name for name in named if not (Path(__file__).parent / name).exists()] == []


def test_each_fast_test_is_in_one_half_and_neither_is_empty() -> None:
    root = Path(__file__).parent
    modules = [path.relative_to(root).as_posix() for path in root.rglob("test_*.py")]
    assert {turns.half(module) for module in modules} == {0, 1}
    assert [name for name in turns.FIRST_HALF if not any(one.startswith(name) for one in modules)] == []


def test_a_property_of_the_fast_part_leaves_its_number_of_examples_to_the_profile() -> None:
    """Else `make test-fast` would look at as many as `make test`."""
    wrong = []
    for path in Path(__file__).parent.rglob("test_*.py"):
        source = path.read_text(encoding="utf-8")
        if re.search(r"max_examples=\d", source) and not module_marks.needs_services(source):
            wrong.append(path.name)
    assert wrong == []


def test_on_the_stack_what_waits_comes_late_and_the_crash_last() -> None:
    order = [
        "local/test_stack.py",
        "dashboards/test_live_metrics.py",
        "e2e/test_slo.py",
        "e2e/test_backups.py",
    ]
    names = [f"ops_platform_tests/{name}::test_it" for name in order]
    assert sorted(names, key=lambda name: turns.turn(name, "stack")) == names[::-1]
