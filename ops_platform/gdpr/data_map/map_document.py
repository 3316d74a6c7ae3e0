"""The document of a data map, with the file and line of each part for complaints; values and names in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map.json_path import JsonPath
from ops_platform.gdpr.data_map.model import PSEUDONYM, STAND_IN, ByMention, Constant, Table, Value
from ops_platform.gdpr.schema import Name
from ops_platform.lined_yaml import Document, KeyPath


@dataclass(frozen=True)
class MapDocument:
    """The document that is parsed. Every method raises ConfigurationError with the place of ``path``."""

    source: Document

    def error(self, path: KeyPath, reason: str) -> ConfigurationError:
        """Make the error that names the part at ``path``, its file and its line."""
        name = ".".join(str(part) for part in path)
        return ConfigurationError(f"{self.source.at(path)}: {name}: {reason}")

    def name(self, path: KeyPath, text: str) -> Name:
        """Parse the name of a relation."""
        try:
            return Name.parse(text)
        except ValueError as error:
            raise self.error(path, str(error)) from None

    def json_path(self, path: KeyPath, text: str) -> JsonPath:
        """Parse a path within a JSON document."""
        try:
            return JsonPath.parse(text)
        except ValueError as error:
            raise self.error(path, str(error)) from None

    def values(self, path: KeyPath, given: Mapping[str, Any]) -> dict[str, Value]:
        """Parse the new values of columns."""
        values: dict[str, Value] = {}
        for column, value in given.items():
            if value == PSEUDONYM:
                values[column] = "pseudonym"
            elif value == STAND_IN:
                values[column] = "stand_in"
            elif value is None:
                values[column] = Constant(None)
            elif isinstance(value, dict) and set(value) == {"value"}:
                values[column] = Constant(value["value"])
            else:
                raise self.error((*path, column), "must be null, pseudonym, stand_in, or {value: ...}")
        return values

    def check_roles(self, path: KeyPath, table: Table, roles: Iterable[str]) -> None:
        """Refuse ``roles`` that ``table`` does not have, or by which its rows are other people's."""
        ways = {belonging.role: belonging.way for belonging in table.belongings}
        for role in roles:
            if role not in ways:
                elsewhere = role in [belonging.role for belonging in table.of_other_kinds]
                reason = " of this kind of subject" if elsewhere else ""
                raise self.error(path, f"{table.name} has no role {role!r}{reason}")
            if isinstance(ways[role], ByMention):
                raise self.error(
                    path,
                    f"rows of {table.name} as {role!r} are other people's, and so is what belongs to them",
                )
