"""Objects of OpenSLO documents with their place in a file, and the references between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document, KeyPath
from ops_platform.slo.objectives.documents.document_schema import AnyObject

T_co = TypeVar("T_co", bound=BaseModel, covariant=True)
T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Written(Generic[T_co]):
    """A part of a document: what it says, and where it says it."""

    source: Document
    value: T_co
    path: KeyPath = ()

    def at(self, *path: str | int) -> str:
        """Return ``file:line`` of what stands at ``path`` below it."""
        return self.source.at((*self.path, *path))

    def part(self, value: T, *path: str | int) -> Written[T]:
        """Name a part of it by its place."""
        return Written(self.source, value, (*self.path, *path))


class Objects:
    """All objects of the files that are loaded together."""

    def __init__(self, objects: Sequence[Written[AnyObject]]) -> None:
        self._objects = objects

    def of(self, kind: type[T]) -> list[Written[T]]:
        """List the objects of a kind, in the order in which they were written."""
        return [
            Written(written.source, written.value)
            for written in self._objects
            if isinstance(written.value, kind)
        ]

    def find(self, kind: type[T], name: str) -> Written[T] | None:
        """Find an object by its name; None: there is none, or its name is not its own."""
        named = [written for written in self.of(kind) if written.value.metadata.name == name]  # type: ignore[attr-defined]
        return named[0] if len(named) == 1 else None

    def referred(self, kind: type[T], name: str, where: str) -> Written[T]:
        """Find what a reference at ``where`` names. Raises ConfigurationError when it is not exactly one."""
        found = self.find(kind, name)
        if found is None:
            word = {"Sli": "SLI", "Policy": "AlertPolicy", "Condition": "AlertCondition"}.get(
                kind.__name__, "AlertNotificationTarget"
            )
            raise ConfigurationError(f"{where}: there is no {word} {name} in these files, or more than one")
        return found
