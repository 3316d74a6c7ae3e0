"""Places in JSON documents: ``co_authors[*].id``. Members and all elements of an array, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r'\.?(?:"((?:[^"\\]|\\.)+)"|([A-Za-z_$][\w$-]*))|(\[\*\])')
EVERY = "[*]"


@dataclass(frozen=True, order=True)
class JsonPath:
    """``steps`` are member names, and EVERY for the elements of an array."""

    steps: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Raises ValueError."""
        rest = text[1:] if text.startswith("$") else text
        steps, at = [], 0
        while at < len(rest):
            found = _STEP.match(rest, at)
            if not found or (found.group(3) is None and at > 0 and rest[at] != "."):
                raise ValueError(f"{text!r} is no path: write members and [*], as in co_authors[*].id")
            quoted, plain, every = found.groups()
            steps.append(every or plain or re.sub(r"\\(.)", r"\1", quoted))
            at = found.end()
        if not steps and text != "$":
            raise ValueError(f"{text!r} is no path: write members and [*], as in co_authors[*].id")
        return cls(tuple(steps))

    def __str__(self) -> str:
        text = ""
        for step in self.steps:
            if step == EVERY:
                text += EVERY
            else:
                name = step if re.fullmatch(r"[A-Za-z_$][\w$-]*", step) else _quoted(step)
                text += f".{name}" if text else name
        return text or "$"

    @property
    def sql(self) -> str:
        """As PostgreSQL's ``jsonpath`` writes it."""
        return "$" + "".join(step if step == EVERY else f".{_quoted(step)}" for step in self.steps)

    def within(self, other: JsonPath) -> bool:
        """Whether it is ``other`` or lies below it."""
        return self.steps[: len(other.steps)] == other.steps


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[JsonPath]:
    """Where the document holds values that are no object and no array."""
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
