"""The package's modules as the rules of the house read them: each is read, parsed and walked once a run."""

from __future__ import annotations

import ast
import functools
import gc
from pathlib import Path

import ops_platform

PACKAGE = Path(ops_platform.__file__).parent
PATHS = tuple(sorted(PACKAGE.rglob("*.py")))
_LEAVES = (ast.Name, ast.Constant)
"""Two in three nodes are of these kinds, which hold no others but how the name is used."""


@functools.cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _trees() -> dict[Path, ast.Module]:
    """Parse all modules, and keep them from the garbage collector, which would look through them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return {path: ast.parse(text(path)) for path in PATHS}
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def tree(path: Path) -> ast.Module:
    return _trees()[path]


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a module but those that only say how a name is used; twice as fast as ``ast.walk``."""
    found: list[ast.AST] = [tree(path)]
    for node in found:  # which grows meanwhile
        if node.__class__ in _LEAVES:
            continue
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                found += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                found.append(value)
    return tuple(found)
