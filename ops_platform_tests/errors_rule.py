"""The rule that ``clients.safe_errors`` alone words errors of other people's code, as a search of the source.

An error is foreign when its class is none of ours. Those that say that a text cannot be parsed (ValueError,
KeyError and their like) are left to the parsers: what they read is ours, or the operator's configuration.
"""

from __future__ import annotations

import ast
import builtins
import functools
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
_FORBIDDEN |= dict.fromkeys(
    ["error_message", "error_field", "internal_query", "__str__", "__repr__", "__notes__", "pgerror"],
    "reads an error's words",
)
_FORBIDDEN |= dict.fromkeys(
    ["StreamHandler", "dictConfig", "fileConfig", "cgitb", "traceback"], "logs without safe_errors.guard"
)
_DIAG = {"column_name", "constraint_name", "schema_name", "sqlstate", "statement_position", "table_name"}
_ASKED = {
    "__cause__", "__context__", "add_note", "code", "diag", "errno", "error_status_hint", "errors",
    "exit_code", "faultCode",
    "faultString", "filename", "problem", "problem_mark", "reason", "recipients", "response",
    "serializable_error_info", "show",
    "smtp_code", "sqlstate", "headers", "status_code", "strerror", "verify_message",
}  # fmt: skip
"""What may be asked of a foreign error: codes and places, and words of parsers and of the system."""
_CALLED = {"describe", "frames", "database_advice", "failure", "reason", "end", "_complain", "_refused"}
_CALLED |= {"connection_lost", "set_exception", "why", "complaint"}
"""Methods and functions of modules that may be given one; asyncio and futures hand on their own."""
_NAMES = {"error", "exc", "exception"}
"""Arguments that are errors whatever their annotation says; those of ours are annotated as such."""
_PLAIN = (ValueError, LookupError, TypeError, AttributeError, ImportError, KeyboardInterrupt)
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
    tree = _parsed(source)
    found = list(_forbidden(tree))
    for scope, name in _foreign(tree, module):
        found += [(use.lineno, f"words the foreign error {name!r}") for use in _uses(scope, name)]
    return sorted(set(found))


@functools.lru_cache(maxsize=8)
def _parsed(source: str) -> ast.Module:
    """Parse a module once for all that is asked of it."""
    return ast.parse(source)


@functools.lru_cache(maxsize=8)
def _nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Walk a module once for all that is asked of it."""
    return tuple(ast.walk(tree))


def called_by_dagster(source: str) -> list[ast.FunctionDef]:
    """The functions of a face that Dagster calls and that ask anybody."""
    tree = _parsed(source)
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
    tree = _parsed(source)
    reporting = {"reported_failures"} | {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and _reports(node, {"reported_failures"})
    }
    return [node.name for node in called_by_dagster(source) if not _reports(node, reporting)]


def asks_outside(source: str) -> list[str]:
    """The faces that ask ``platform``, or the settings, beside or before their ``reported_failures()``."""
    tree = _parsed(source)
    reporting = {"reported_failures"} | {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and _reports(node, {"reported_failures"})
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            map(_is_face, node.decorator_list)
        ):
            if any(
                isinstance(one, ast.Call) and _calls(one, "reported_failures") for one in node.decorator_list
            ):
                continue
            resources = {
                one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)
                and (one.arg == "platform" or getattr(one.annotation, "id", "") == "PlatformResource")
            }  # fmt: skip
            if any(resources_of(one, resources) for one in _outside(node, reporting)):
                found.append(node.name)
    return found


def resources_of(node: ast.AST, resources: set[str]) -> bool:
    return (isinstance(node, ast.Name) and node.id in resources | {"load_settings"}) or (
        isinstance(node, ast.Attribute) and node.attr == "resources"
    )


def _is_face(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in _DECORATORS or name.endswith(("_sensor", "_hook", "_manager"))


def _outside(function: ast.AST, reporting: set[str]) -> Iterator[ast.AST]:
    """What a function does that is neither under a ``with reported_failures()`` nor handed to what tells."""
    waiting = list(getattr(function, "body", []))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.With) and any(
            isinstance(one.context_expr, ast.Call)
            and any(_calls(one.context_expr, name) for name in reporting)
            for one in node.items
        ):
            continue
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in reporting:
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


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
    for node in _nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None), *(alias.name for alias in node.names)]
            if "traceback" in names:
                yield node.lineno, "imports traceback"
            elif isinstance(node, ast.ImportFrom):
                yield from ((node.lineno, _FORBIDDEN[name]) for name in names if name in _FORBIDDEN)
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
    for node in _nodes(tree):
        if isinstance(node, ast.ExceptHandler) and node.name and node.type is not None:
            # What cannot be looked up counts as foreign.
            if any(_is_foreign(kind, tree, module, unknown=True) for kind in _kinds(node.type)):
                yield node, node.name
        elif isinstance(node, ast.Lambda):
            yield from ((node, one.arg) for one in node.args.args if one.arg in _NAMES)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    kinds = _annotated(argument.annotation)
                    vague = {getattr(one, "id", "") for one in kinds} & {"Any", "object"} or not kinds
                    if any(_is_foreign(kind, tree, module) for kind in kinds) or (
                        argument.arg in _NAMES and vague
                    ):
                        yield node, argument.arg


def _annotated(node: ast.expr | None) -> list[ast.expr]:
    """The names in an annotation, also in a quoted one and in ``Optional`` or ``list``, not in ``type``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    if node is None or (
        isinstance(node, ast.Subscript) and getattr(node.value, "id", "") in ("type", "Callable")
    ):
        return []
    if isinstance(node, ast.Name | ast.Attribute):
        return [node]
    return [
        one
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.expr)
        for one in _annotated(child)
    ]


def _kinds(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Tuple):
        for element in node.elts:
            yield from _kinds(element.value if isinstance(element, ast.Starred) else element)
    elif isinstance(node, ast.BinOp):
        yield from _kinds(node.left)
        yield from _kinds(node.right)
    else:
        yield node


def _is_foreign(
    node: ast.expr, tree: ast.Module, module: ModuleType | None, *, unknown: bool = False
) -> bool:
    value = _value(node, tree, module)
    if unknown and not isinstance(value, type | tuple):
        return True
    kinds = value if isinstance(value, tuple) else (value,)
    return any(
        isinstance(kind, type)
        and issubclass(kind, BaseException)
        and kind.__module__.partition(".")[0] not in {"ops_platform", *_PARSERS}
        and not (kind.__module__ == "builtins" and issubclass(kind, _PLAIN))
        for kind in kinds
    )


def _value(node: ast.expr, tree: ast.Module, module: ModuleType | None) -> Any:
    if isinstance(node, ast.Attribute):
        return getattr(_value(node.value, tree, module), node.attr, None)
    if not isinstance(node, ast.Name):
        return None
    if module is not None and hasattr(module, node.id):
        return getattr(module, node.id)
    for statement in _imports(tree):  # those inside functions, too, and examples without a module
        for alias in statement.names:
            if (alias.asname or alias.name.partition(".")[0]) == node.id:
                if isinstance(statement, ast.Import):
                    return importlib.import_module(alias.name)
                return getattr(importlib.import_module(statement.module or ""), alias.name, None)
    return getattr(builtins, node.id, None)


@functools.lru_cache(maxsize=8)
def _imports(tree: ast.AST) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in _nodes(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _uses(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    """Uses of the error other than asking for its code or kind, and handing it on to what is known."""
    above = {child: node for node in ast.walk(scope) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(scope):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            parent = above[node]
            if isinstance(parent, ast.Attribute) and parent.attr == "diag":
                parent = above[parent]
                fine = isinstance(parent, ast.Attribute) and parent.attr in _DIAG
            elif isinstance(parent, ast.Attribute):
                fine = parent.attr in _ASKED and not _is_worded(above[parent], parent)
            elif isinstance(parent, ast.IfExp):
                fine = isinstance(above[parent], ast.Attribute) and above[parent].attr in _ASKED  # type: ignore[attr-defined]
            elif isinstance(parent, ast.Call):
                fine = node in parent.args and _may_be_given(parent.func)
            else:
                # Stored for another thread, or returned; `error is None`.
                fine = isinstance(parent, ast.Return | ast.Compare | ast.Tuple) and not _is_worded(
                    above[parent], parent
                )
            if not fine:
                yield node


def _may_be_given(called: ast.expr) -> bool:
    if isinstance(called, ast.Attribute):
        return called.attr in _CALLED
    name = getattr(called, "id", "")
    # A class of ours would be an error with the foreign one as its text.
    return name in ("isinstance", "type") or (
        bool(name) and not hasattr(builtins, name) and name.lstrip("_")[0].islower()
    )


def _is_worded(parent: ast.AST, node: ast.AST) -> bool:
    """Whether an exception or a tuple itself, not a code of it, is made a text."""
    asked = node.attr if isinstance(node, ast.Attribute) else ""
    return asked in ("", "__cause__", "__context__") and isinstance(
        parent, ast.FormattedValue | ast.Call | ast.BinOp | ast.List | ast.Dict
    )
