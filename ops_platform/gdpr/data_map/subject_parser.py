"""The parser of ``subject``, and of what names a subject: identifiers in side tables, placeholders."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from ops_platform.gdpr.data_map import file_schema
from ops_platform.gdpr.data_map.kind_parser import KindSource, concerns
from ops_platform.gdpr.data_map.map_document import MapDocument
from ops_platform.gdpr.data_map.model import STAND_IN, ByColumn, DataMap, KnownBy, Subject
from ops_platform.gdpr.schema import Name
from ops_platform.lined_yaml import KeyPath

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class SubjectParser:
    """The parser of the subject. Its methods raise ConfigurationError with the place of what is wrong."""

    document: MapDocument
    path: KeyPath
    """Where the subject stands in the document."""

    def parse(self, model: file_schema.Map, source: KindSource) -> Subject:
        """Parse the subject; what else is read of its row stands in the tables' ``holds``."""
        given, path = source.subject, (*self.path, "stand_in")
        if len(set(given.key)) < len(given.key):
            raise self.document.error((*self.path, "key"), "names a column twice")
        stand_in = self.document.values(path, given.stand_in)
        if STAND_IN in stand_in.values():
            raise self.document.error(
                path, "a stand-in cannot be made of itself: give a value or 'pseudonym'"
            )
        tables = {self.document.name(("tables", text), text) for text in model.tables}
        known_by = tuple(self._known_by(number, item, tables) for number, item in enumerate(given.known_by))
        # A column of a composite key names nobody by itself, unless the map says that it does.
        alone = given.key if len(given.key) == 1 else []
        spellings = {spelling: known.name for known in known_by for spelling in known.spellings}
        email = spellings.get(given.email, given.email)
        own = [] if given.email in spellings else [email]
        identifiers = tuple(dict.fromkeys((*alone, *own, *given.identifiers)))
        held = [
            row.holds
            for _, places in model.everywhere
            for table in places.tables.values()
            for row in table.rows
            if row.holds is not None and len(row.holds) > 1 and concerns(row, source.kind)
        ]
        parts = dict.fromkeys(
            column
            for columns in (given.key, *held)
            for column in columns
            if column not in identifiers and column not in spellings
        )
        together = dict.fromkeys(
            tuple(sorted(columns))
            for columns in held
            if set(columns) <= set(parts) and not set(given.key) <= set(columns)
        )
        return Subject(
            source.kind,
            self.document.name((*self.path, "table"), given.table),
            tuple(given.key),
            email,
            identifiers,
            stand_in,
            known_by,
            tuple(parts),
            tuple(together),
        )

    def _known_by(self, number: int, model: file_schema.KnownBy, tables: Collection[Name]) -> KnownBy:
        path = (*self.path, "known_by", number, "table")
        table = self.document.name(path, model.table)
        if table not in tables:
            raise self.document.error(path, f"the map has no table {table}")
        return KnownBy(table, model.column, tuple(model.roles), model.undecided)

    def check_known_by(self, data_map: DataMap) -> None:
        """Refuse side tables of which the map does not say whose their rows are, by the subject's row."""
        subject = data_map.subject
        for number, known in enumerate(subject.known_by):
            path, table = (*self.path, "known_by", number), data_map.tables[known.table]
            if known.name in [other.name for other in subject.known_by[:number]]:
                raise self.document.error(path, f"{known.name} is there twice")
            self.document.check_roles((*path, "roles"), table, known.roles)
            if not any(
                isinstance(belonging.way, ByColumn) and set(belonging.way.holds) <= set(subject.columns)
                for belonging in table.belongings
                if not known.roles or belonging.role in known.roles
            ):
                raise self.document.error(
                    path,
                    f"nothing says whose the rows of {known.table} are: give it a role by a column that "
                    "holds the key",
                )

    def check_placeholders(self, path: KeyPath, text: str, subject: Subject) -> None:
        """Refuse a pattern without an identifier of the subject: it would match everybody's data."""
        placeholders = _PLACEHOLDER.findall(text)
        if not placeholders:
            example = "/".join(f"{{{column}}}" for column in subject.key)
            raise self.document.error(path, f"names no subject: put {example} into it")
        for placeholder in placeholders:
            if placeholder in [known.name for known in subject.known_by]:
                raise self.document.error(
                    path, f"{{{placeholder}}} may have several values: put an identifier of one into it"
                )
            if placeholder not in (*subject.key, *subject.identifiers):
                raise self.document.error(
                    path,
                    f"{{{placeholder}}} is not an identifier of the subject: add it to subject.identifiers",
                )
        if not set(placeholders) & set(subject.identifiers) and not set(subject.key) <= set(placeholders):
            raise self.document.error(
                path, f"names more than one {subject.kind}: put all of {', '.join(subject.key)} into it"
            )
        if re.search(r"\}[\w*]", text) or "**" in text:
            raise self.document.error(
                path, "what follows an identifier must set it apart, as a slash or colon does"
            )
