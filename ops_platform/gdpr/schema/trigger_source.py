"""What a trigger's function does to the row that is updated, as far as its source shows it. Pure.

Only assignments and refusals that can be read for sure are found; what cannot be read is said to be so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_OTHER_BRANCH = re.compile(
    r"\b(?:els)?if\s*\(?\s*tg_op\s*=\s*'(?:insert|delete)'\s*\)?\s*then\b.*?(?=\bels(?:e|if|eif)\b|\bend\s+if\b)",
    re.DOTALL | re.IGNORECASE,
)
_IDENTIFIER = r'(?:"[^"]+"|\w+)'
_ASSIGNED = re.compile(rf"\bnew\s*\.\s*({_IDENTIFIER})\s*(:=|=)\s*([^;]*)", re.IGNORECASE)
_BEFORE_STATEMENT = re.compile(r"(?:\A|;|>>|\b(?:begin|then|else|loop))\s*\Z", re.IGNORECASE)
_GUARD = re.compile(r"\b(?:els)?if\b([^;]*?)\bthen\s*\Z", re.IGNORECASE)
_SELECTED = re.compile(rf"\binto\s+(?:strict\s+)?((?:new\s*\.\s*{_IDENTIFIER}\s*,?\s*)+)", re.IGNORECASE)
_WHOLE = re.compile(r"\bnew\s*:=|\binto\s+(?:strict\s+)?new\b(?!\s*\.)", re.IGNORECASE)
_FIELD = re.compile(rf"\b(new|old)\s*\.\s*({_IDENTIFIER})", re.IGNORECASE)
_WHOLE_ROW = re.compile(r"\bnew\b(?!\s*\.\s*[\w\"])", re.IGNORECASE)
_RETURNED = re.compile(r"\breturn\s+(?:old|null)\b", re.IGNORECASE)
_GUARDED = re.compile(r"\bif\b([^;]*?)\bthen\s+raise\s+(?!notice|info|log|debug|warning)", re.IGNORECASE)
_DIFFERS = re.compile(
    rf"\b(new|old)\s*\.\s*({_IDENTIFIER})\s*(?:<>|!=|is\s+distinct\s+from)\s*(new|old)\s*\.\s*({_IDENTIFIER})",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Assignment:
    """A column of the updated row that the function sets. ``reads``: columns of the new row, None: any.

    ``expression``: what it is set to; ``old``: the row as it was is part of that. ``if_null``: only where
    the new row has NULL there.
    """

    column: str
    reads: frozenset[str] | None
    old: bool
    expression: str = ""
    if_null: bool = False


@dataclass(frozen=True)
class RowChanges:
    """What a function does to an updated row. ``whole``: it puts another row in its place.

    ``guarded``: columns whose change it refuses; ``passes_over``: it may leave the row as it was.
    """

    assignments: tuple[Assignment, ...] = ()
    guarded: frozenset[str] = frozenset()
    passes_over: bool = False
    whole: bool = False


NONE = RowChanges()


def row_changes(function: str, language: str, source: str, arguments: Sequence[str]) -> RowChanges:
    """Read what a trigger's function does to each row before it is updated; NONE where nothing is known."""
    if function.startswith("tsvector_update_trigger") and len(arguments) > 2:
        return RowChanges((Assignment(arguments[0], frozenset(arguments[2:]), False),))
    if function == "moddatetime" and arguments:
        return RowChanges((Assignment(arguments[0], frozenset(), False),))
    if language != "plpgsql":
        return NONE
    text = _OTHER_BRANCH.sub(" ", _COMMENT.sub(" ", source))
    text = _LITERAL.sub("''", text)
    guarded = frozenset(name for match in _GUARDED.finditer(text) for name in _compared(match[1]))
    return RowChanges(
        tuple(_assignments(text)),
        guarded,
        # Which operation it returns that for is told by more than can be read.
        bool(_RETURNED.search(text)) and "tg_op" not in text.lower(),
        bool(_WHOLE.search(text)),
    )


def compared(definition: str) -> frozenset[str]:
    """Read the columns of which one must change by a trigger's WHEN; empty: it may act on any update."""
    condition = re.search(r"\bWHEN \((.*)\) EXECUTE ", definition, re.DOTALL)
    columns = frozenset(_compared(condition[1])) if condition else frozenset[str]()
    alone = condition is not None and re.fullmatch(
        rf"(?:{_DIFFERS.pattern}|[()\s]|\bor\b)*", condition[1], re.IGNORECASE
    )
    return columns if alone else frozenset()


def _assignments(text: str) -> Iterator[Assignment]:
    for match in _ASSIGNED.finditer(text):
        if match[2] == ":=" or _BEFORE_STATEMENT.search(text[: match.start()]):
            yield _assignment(match[1], match[3], text[: match.start()])
    for match in _SELECTED.finditer(text):
        for _, name in _FIELD.findall(match[1]):
            # The statement may read any column.
            yield Assignment(_name(name), None, False)


def _assignment(column: str, expression: str, before: str) -> Assignment:
    fields = _FIELD.findall(expression)
    reads = frozenset(_name(name) for row, name in fields if row.lower() == "new")
    old = re.search(r"\bold\b", expression, re.IGNORECASE) is not None
    whole = _WHOLE_ROW.search(expression) is not None
    own = rf"new\s*\.\s*{re.escape(column)}"
    guard = _GUARD.search(before)
    if_null = re.match(rf"coalesce\s*\(\s*{own}\s*,", expression, re.IGNORECASE) is not None or (
        guard is not None
        and re.fullmatch(rf"\s*\(?\s*{own}\s+is\s+null\s*\)?\s*", guard[1], re.IGNORECASE) is not None
    )
    return Assignment(_name(column), None if whole else reads, old, " ".join(expression.split()), if_null)


def _compared(condition: str) -> Iterator[str]:
    """Yield the columns that a condition compares with what they were."""
    for first, name, second, other in _DIFFERS.findall(condition):
        if _name(name) == _name(other) and first.lower() != second.lower():
            yield _name(name)


def _name(identifier: str) -> str:
    return identifier[1:-1] if identifier.startswith('"') else identifier.lower()
