"""The complaint about a document that does not fit the object model: which key, and the nearest right one."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from ops_platform import lined_yaml

KeyPath = Sequence[str | int]


def complaint(model: type[BaseModel], error: ValidationError) -> tuple[tuple[str | int, ...], str]:
    """Choose the fault to report: its path, and what is wrong there."""
    errors = error.errors()
    # A key that is written wrong explains more than the missing one that it stands for.
    first = next((details for details in errors if details["type"] == "extra_forbidden"), errors[0])
    path = first["loc"]
    if first["type"] == "extra_forbidden":
        return path, nearest_key(_fields(model, path[:-1]), path[-1])
    if first["type"] != "string_pattern_mismatch":
        return path, lined_yaml.complaint(first)
    if path[-1] == "[key]":
        # What is wrong with a key itself stands under it.
        return path[:-1], "is no name: letters, digits and . _ - between them, at most 63"
    return path, (
        f"{first['input']!r} is not a name that OpenSLO accepts: small letters, digits and hyphens between "
        "them, at most 63"
    )


def nearest_key(known: Iterable[str], key: str | int) -> str:
    """Say that a key is not known, and which one it is most like."""
    names = sorted(known)
    alike = difflib.get_close_matches(str(key), names, n=1, cutoff=0.6)
    if alike:
        return f"is not known here: did you mean {alike[0]}?"
    return f"is not known here: correct or remove it (known are {', '.join(names)})"


def _fields(model: type[BaseModel], path: KeyPath) -> list[str]:
    here: Any = model
    for part in path:
        if isinstance(part, str) and isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(part)
            here = None if field is None else _inner(field.annotation)
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _inner(annotation: Any) -> Any:
    """Find the model in ``X | None``, ``list[X]`` and the like; None where there is none."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    return next((inner for part in typing.get_args(annotation) if (inner := _inner(part)) is not None), None)
