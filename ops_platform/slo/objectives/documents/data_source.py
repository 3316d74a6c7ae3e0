"""Data sources: their connections are settings, and no secret belongs into a document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import KeyPath
from ops_platform.slo.objectives.documents.document_schema import DataSource
from ops_platform.slo.objectives.documents.written_object import Written

_SECRET = re.compile(
    r"pass|secret|token|credential|authorization|(api|app|access|private)[-_]?key", re.IGNORECASE
)


def refuse_secrets(written: Written[BaseModel]) -> None:
    """Raise ConfigurationError where a data source holds a secret; the message does not repeat it."""
    if not isinstance(written.value, DataSource):
        return
    for path, text in _texts(written.value.spec.connectionDetails, ("spec", "connectionDetails")):
        key = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
        if _SECRET.search(key) or _has_user(text):
            raise ConfigurationError(
                f"{written.at(*path)}: {key} holds a secret: take it out, connections are settings "
                "(OPS_PROMETHEUS_URL)"
            )


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*path, number))
    elif value is not None:
        yield path, str(value)


def _has_user(text: str) -> bool:
    try:
        return "://" in text and "@" in urlsplit(text).netloc
    except ValueError:
        return False
