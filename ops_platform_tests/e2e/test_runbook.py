"""How runbooks are read: the pure half of ``test_runbooks``."""

from __future__ import annotations

import re
from pathlib import Path

from ops_platform_tests.e2e.runbook import blocks

PAGE = Path(__file__).parents[2] / "docs" / "runbooks" / "disaster-recovery.md"


def test_blocks_are_found() -> None:
    text = "# A\n```sh\none \\\n  more\ntwo\n```\n```console\n$ no\n```\n## B\n\n```sh\nthree\n```\n"
    assert [(block.section, list(block.commands)) for block in blocks(text)] == [
        ("A", ["one    more", "two"]),
        ("B", ["three"]),
    ]


def test_no_variable_is_left_unexplained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    typed = " ".join(command for block in blocks(text) for command in block.commands)
    used = set(re.findall(r"\$\{?([A-Z_][A-Z0-9_]*)", typed))
    unexplained = {name for name in used if not name.startswith("OPS_") and f"`{name}`" not in text}
    assert unexplained == set()
