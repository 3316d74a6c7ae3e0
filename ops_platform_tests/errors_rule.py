"""The rule that ``clients.safe_errors`` alone words errors of other people's code, as a search of the source.

An error is foreign when its class is none of ours. Those that say that a text cannot be parsed (ValueError,
KeyError and their like) are left to the parsers: what they read is ours, or the operator's configuration.
"""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

Found = list[tuple[int, str]]

_FORBIDDEN = {
    "message_primary": "reads a message of PostgreSQL's",
    "message_detail": "reads a message of PostgreSQL's",
    "message_hint": "reads a message of PostgreSQL's",
    "format_exc": "words a traceback",
    "print_exc": "words a traceback",
    "print_exception": "words a traceback",
    "format_exception": "words a traceback",
    "exc_info": "hands a traceback on",
    "exception": "logs a traceback",
    "excepthook": "words what nobody caught",
    "basicConfig": "logs without safe_errors.guard",
}
_PARSERS = {"cronsim", "graphlib"}
"""They read a schedule and an order of tables, and ask no outside system."""
_LOGGING = {
    "debug",
    "info",
    "warning",
    "error",
    "critical",
    "log",
    "echo",
    "print",
    "write",
    "format",
    "join",
}
_WORDING = {"str", "repr", "print", "format", "ascii"}
_DECORATORS = {"op", "asset", "multi_asset", "asset_check", "multi_asset_check"}
_DECORATORS |= {"sensor", "schedule", "run_failure_sensor"}


def findings(source: str, module: ModuleType | None = None) -> Found:
    """(line, what) of everything in a module that words a foreign error by itself."""
    tree = ast.parse(source)
    found = list(_forbidden(tree))
    for scope, name in _foreign(tree, module):
        found += [(use.lineno, f"words the foreign error {name!r}") for use in _uses(scope, name)]
    return sorted(set(found))


def called_by_dagster(source: str) -> list[ast.FunctionDef]:
    """The functions of a face that Dagster calls and that ask anybody."""
    tree = ast.parse(source)
    # dg.asset(...)(function), too.
    handed_over = {
        argument.id
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Call) and _is_decorator(call.func)
        for argument in call.args
        if isinstance(argument, ast.Name)
    }
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and (node.name in handed_over or any(_is_decorator(one) for one in node.decorator_list))
        and any(argument.arg == "platform" for argument in node.args.args)
    ]


def without_reported_failures(source: str) -> list[str]:
    """Name those of these functions that ask without ``reported_failures()`` around it."""
    tree = ast.parse(source)
    reporting = {"reported_failures"} | {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and _reports(node, {"reported_failures"})
    }
    return [node.name for node in called_by_dagster(source) if not _reports(node, reporting)]


def _reports(node: ast.FunctionDef, reporting: set[str]) -> bool:
    return any(
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in reporting
        for call in ast.walk(node)
    )


def _is_decorator(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _DECORATORS
    )


def _forbidden(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None), *(alias.name for alias in node.names)]
            if "traceback" in names:
                yield node.lineno, "imports traceback"
        elif isinstance(node, ast.Attribute) and node.attr in _FORBIDDEN:
            yield node.lineno, _FORBIDDEN[node.attr]
        elif isinstance(node, ast.keyword) and node.arg == "exc_info":
            yield node.value.lineno, _FORBIDDEN["exc_info"]
        elif isinstance(node, ast.Call) and _calls(node, "add_note"):
            note = node.args[0] if node.args else None
            if not (isinstance(note, ast.Call) and _calls(note, "Note")):
                yield node.lineno, "adds a note that is no safe_errors.Note"


def _calls(node: ast.Call, name: str) -> bool:
    called = node.func
    return name == (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None))


def _foreign(tree: ast.Module, module: ModuleType | None) -> Iterator[tuple[ast.AST, str]]:
    """(where it is known, name) of each foreign error that is caught or handed over."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.name and node.type is not None:
            if any(_is_foreign(kind, tree, module) for kind in _kinds(node.type)):
                yield node, node.name
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for argument in [*node.args.args, *node.args.kwonlyargs]:
                kinds = [] if argument.annotation is None else list(_kinds(argument.annotation))
                if any(_is_foreign(kind, tree, module) for kind in kinds):
                    yield node, argument.arg


def _kinds(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Tuple):
        for element in node.elts:
            yield from _kinds(element.value if isinstance(element, ast.Starred) else element)
    elif isinstance(node, ast.BinOp):
        yield from _kinds(node.left)
        yield from _kinds(node.right)
    else:
        yield node


def _is_foreign(node: ast.expr, tree: ast.Module, module: ModuleType | None) -> bool:
    value = _value(node, tree, module)
    kinds = value if isinstance(value, tuple) else (value,)
    return any(
        isinstance(kind, type)
        and issubclass(kind, BaseException)
        and kind.__module__.partition(".")[0] not in {"ops_platform", *_PARSERS}
        and (kind.__module__ != "builtins" or kind in (Exception, BaseException) or issubclass(kind, OSError))
        for kind in kinds
    )


def _value(node: ast.expr, tree: ast.Module, module: ModuleType | None) -> Any:
    if isinstance(node, ast.Attribute):
        return getattr(_value(node.value, tree, module), node.attr, None)
    if not isinstance(node, ast.Name):
        return None
    if module is not None and hasattr(module, node.id):
        return getattr(module, node.id)
    for statement in ast.walk(tree):  # imports inside functions, and examples without a module
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name.partition(".")[0]) == node.id:
                    if isinstance(statement, ast.Import):
                        return importlib.import_module(alias.name)
                    return getattr(importlib.import_module(statement.module or ""), alias.name, None)
    return getattr(builtins, node.id, None)


def _uses(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    """Expressions that make a text of the error."""

    def is_it(node: ast.AST) -> bool:
        if isinstance(node, ast.BoolOp):
            return any(is_it(value) for value in node.values)
        if isinstance(node, ast.IfExp):
            return is_it(node.body) or is_it(node.orelse)
        return isinstance(node, ast.Name) and node.id == name

    for node in ast.walk(scope):
        if isinstance(node, ast.FormattedValue) and is_it(node.value):
            yield node.value
        elif isinstance(node, ast.Attribute) and node.attr == "args" and is_it(node.value):
            yield node
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            parts = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
            if any(is_it(part) for part in parts):
                yield node
        elif isinstance(node, ast.Call) and any(is_it(argument) for argument in node.args):
            called = node.func
            if (isinstance(called, ast.Name) and called.id in _WORDING) or (
                isinstance(called, ast.Attribute) and called.attr in _LOGGING
            ):
                yield node
