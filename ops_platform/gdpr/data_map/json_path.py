"""Paths in JSON documents, as ``co_authors[*].id``: members and all elements of an array, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r'\.?(?:"((?:[^"\\]|\\.)+)"|([A-Za-z_$][\w$-]*))|(\[\*\])')
EVERY = "[*]"


@dataclass(frozen=True, order=True)
class JsonPath:
    """A path: ``steps`` are member names, and EVERY for the elements of an array."""

    steps: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Parse ``co_authors[*].id``, with or without ``$`` before it. Raises ValueError with the reason."""
        rest = text[1:] if text.startswith("$") else text
        steps, position = [], 0
        while position < len(rest):
            step = _STEP.match(rest, position)
            if not step or (step.group(3) is None and position > 0 and rest[position] != "."):
                raise ValueError(f"{text!r} is not a path: write members and [*], as in co_authors[*].id")
            quoted, plain, every = step.groups()
            steps.append(every or plain or re.sub(r"\\(.)", r"\1", quoted))
            position = step.end()
        if not steps and text != "$":
            raise ValueError(f"{text!r} is not a path: write members and [*], as in co_authors[*].id")
        return cls(tuple(steps))

    def __str__(self) -> str:
        text = ""
        for step in self.steps:
            if step == EVERY:
                text += EVERY
            else:
                # At the beginning a "$" is the document, not the first letter of a member.
                plain = re.fullmatch(r"[A-Za-z_$][\w$-]*", step) and (text or not step.startswith("$"))
                name = step if plain else _quoted(step)
                text += f".{name}" if text else name
        return text or "$"

    @property
    def sql(self) -> str:
        """The path in PostgreSQL's ``jsonpath`` syntax."""
        return "$" + "".join(step if step == EVERY else f".{_quoted(step)}" for step in self.steps)

    def within(self, other: JsonPath) -> bool:
        """Tell whether this path is ``other`` or lies below it."""
        return self.steps[: len(other.steps)] == other.steps


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[JsonPath]:
    """Yield the path of each value in the document that is neither object nor array."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, str(name)))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, (*path, EVERY))
    else:
        yield JsonPath(path)


def _quoted(step: str) -> str:
    return '"' + step.replace("\\", "\\\\").replace('"', '\\"') + '"'
