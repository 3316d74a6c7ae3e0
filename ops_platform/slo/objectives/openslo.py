"""Objectives from OpenSLO v1 documents. Anything that cannot be computed exactly is refused, with its line.

All kinds are read: SLO, SLI, Service, DataSource, AlertPolicy, AlertCondition and
AlertNotificationTarget, one or several a file, also as a sequence. Extensions are annotations
(``written_slo``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document
from ops_platform.slo.objectives.documents import (
    KINDS,
    MAX_DAYS,
    AnyObject,
    Objects,
    Slo,
    Written,
    data_source,
    document_keys,
    written_slo,
)
from ops_platform.slo.objectives.model import Objective

__all__ = ["API_VERSION", "MAX_DAYS", "Loaded", "load", "load_directory", "load_files", "read"]

API_VERSION = "openslo/v1"


@dataclass(frozen=True)
class Loaded:
    """The objectives of some files, in order of service and name, and what their authors should know."""

    objectives: list[Objective]
    notes: tuple[str, ...]
    """One line each, with file and line."""


def load(files: Iterable[Path]) -> list[Objective]:
    """Load all objectives of the files, in order of service and name.

    Raises ConfigurationError, with file and line, at the first fault.
    """
    return read(files).objectives


def read(files: Iterable[Path]) -> Loaded:
    """Load as ``load`` does, with notes."""
    objects = Objects(
        [
            _object(source)
            for file in files
            for document in lined_yaml.load(file)
            for source in items(document)
        ]
    )
    objectives: dict[tuple[str, str], Objective] = {}
    notes: list[str] = []
    for written in objects.of(Slo):
        for objective in written_slo.objectives(written, objects, notes):
            name_line = written.source.at(("metadata", "name"))
            if (objective.service, objective.name) in objectives:
                raise ConfigurationError(
                    f"{name_line}: {objective.service} has another objective {objective.name}: "
                    "choose another name"
                )
            if any(other.id == objective.id for other in objectives.values()):
                raise ConfigurationError(
                    f"{name_line}: its rules would be called {objective.id}, like another objective's: "
                    "choose another name"
                )
            objectives[objective.service, objective.name] = objective
    return Loaded([objectives[key] for key in sorted(objectives)], tuple(dict.fromkeys(notes)))


def load_files(directory: Path) -> list[Objective]:
    """Load the objectives of every ``*.yaml`` and ``*.yml`` in it; none where there is no file.

    Raises ConfigurationError at the first fault.
    """
    return load(sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")]))


def load_directory(directory: Path) -> list[Objective]:
    """Load as ``load_files`` does, and raise ConfigurationError also when there is no objective."""
    objectives = load_files(directory)
    if not objectives:
        raise ConfigurationError(
            f"{directory}: holds no objective; write an OpenSLO document, kind SLO, there"
        )
    return objectives


def items(document: Document) -> Iterator[Document]:
    """Split a document that is a sequence into its items; one that is none is its only item."""
    if not isinstance(document.value, list):
        yield document
        return
    for number, value in enumerate(document.value):
        lines = {path[1:]: line for path, line in document.lines.items() if path[:1] == (number,)}
        yield replace(document, value=value, lines=lines)


def _object(source: Document) -> Written[AnyObject]:
    if not isinstance(source.value, dict):
        raise ConfigurationError(f"{source.at(())}: is not an OpenSLO document (apiVersion: {API_VERSION})")
    kind = source.value.get("kind")
    given = source.value.get("apiVersion")
    if given != API_VERSION:
        foreign = "slos" in source.value or str(given).startswith(
            ("openslo/v1alpha", "sloth.slok.dev/", "pyrra.dev/")
        )
        hint = "; import it with 'ops-platform slo import'" if foreign else ""
        raise ConfigurationError(f"{source.at(('apiVersion',))}: apiVersion must be {API_VERSION}{hint}")
    model = KINDS.get(str(kind))
    if model is None:
        raise ConfigurationError(
            f"{source.at(('kind',))}: kind {kind} {document_keys.nearest_key(KINDS, str(kind))}"
        )
    try:
        written = Written(source, model.model_validate(source.value))
        data_source.refuse_secrets(written)
        return written
    except ValidationError as error:
        path, reason = document_keys.complaint(model, error)
        name = ".".join(str(part) for part in path)
        raise ConfigurationError(f"{source.at(path)}: {name}: {reason}") from None
