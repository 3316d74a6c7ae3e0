"""A file of another tool's documents, whichever tool it is."""

from __future__ import annotations

from pathlib import Path

from ops_platform import lined_yaml
from ops_platform.errors import ConfigurationError
from ops_platform.lined_yaml import Document
from ops_platform.slo.importing import openslo_alpha, pyrra, sloth
from ops_platform.slo.importing.conversion import Imported
from ops_platform.slo.objectives.openslo import items


def convert(file: Path) -> Imported:
    """Convert a file to OpenSLO v1 documents. Raises ConfigurationError with file and line."""
    imported = Imported()
    for document in lined_yaml.load(file):
        for source in items(document):
            _convert(source, imported)
    return imported


def _convert(source: Document, imported: Imported) -> None:
    value = source.value if isinstance(source.value, dict) else {}
    version = str(value.get("apiVersion", value.get("version")))
    if version == sloth.VERSION:
        sloth.convert_file(source, value, imported)
    elif version == sloth.API_VERSION:
        sloth.convert_object(source, value, imported)
    elif version == pyrra.API_VERSION:
        pyrra.convert(source, value, imported)
    elif version == openslo_alpha.API_VERSION:
        openslo_alpha.convert(source, value, imported)
    else:
        key = "apiVersion" if "apiVersion" in value else "version"
        known = (sloth.VERSION, sloth.API_VERSION, pyrra.API_VERSION, openslo_alpha.API_VERSION)
        hint = ": it needs no import" if version == "openslo/v1" else ""
        raise ConfigurationError(
            f"{source.at((key,))}: is not a Sloth file (version: {sloth.VERSION}), nor one of "
            f"{', '.join(known[1:])}{hint}"
        )
