"""Marks of a whole test module, read from its text: importing it costs up to a second."""

from __future__ import annotations

import ast
import re

_START = re.compile(r"^pytestmark\b", re.MULTILINE)


def of(source: str) -> set[str]:
    """Name the marks that ``pytestmark`` gives to all tests of a module."""
    start = _START.search(source)
    if start is None:
        return set()
    lines = source[start.start() :].split("\n")
    for end in range(1, len(lines) + 1):
        try:
            statement = ast.parse("\n".join(lines[:end]))
        except SyntaxError:
            continue
        return {
            node.attr
            for node in ast.walk(statement)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "mark"
        }
    return set()


def needs_services(source: str) -> bool:
    """Tell whether no test of a module can run without services: all are marked ``services`` or ``full``."""
    return not {"services", "full"}.isdisjoint(of(source))


def is_dropped(source: str, expression: str) -> bool:
    """Tell whether the ``-m expression`` of one of make's targets drops all tests of a module for sure."""
    if expression.startswith("not services"):
        return needs_services(source)
    if expression == "not full":
        return "full" in of(source)
    return expression == "full" and "mark.full" not in source
