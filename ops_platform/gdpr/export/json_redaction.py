"""SQL that hides other people in exported JSONB documents and arrays.

An array element that holds a link of the map belongs to a person. Of another person's element the export
keeps what the map calls plain, and pseudonyms for links. Numbers keep all their digits: the database does
the work.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from psycopg import sql

from ops_platform.gdpr.data_map import EVERY, ByJson, JsonPath, Table
from ops_platform.gdpr.subject import Identity

_NOBODY = ""
"""No identifier has this name, so that no value is the subject's."""
TRUE, FALSE = sql.SQL("true"), sql.SQL("false")


def pseudonym(text: sql.Composable, salt: str) -> sql.Composable:
    """Build an SQL text that replaces ``text``: the same for equal values in one export, and in no other."""
    return sql.SQL("('person-' || left(encode(sha256(convert_to({} || {}, 'UTF8')), 'hex'), 16))").format(
        sql.Literal(salt), text
    )


@dataclass
class _Node:
    """A place in documents; a link if it ``holds`` one of these columns of the subject."""

    kind: Literal["personal", "plain"] | None = None
    holds: set[str] = field(default_factory=set)
    members: dict[str, _Node] = field(default_factory=dict)

    def at(self, path: JsonPath) -> _Node:
        node = self
        for step in path.steps:
            node = node.members.setdefault(step, _Node())
        return node

    def hides(self) -> bool:
        """Tell whether another person can be named here, within what is the subject's."""
        return bool(self.holds) or any(inner.hides() for inner in self.members.values())

    def links(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
        """Yield the links below here, but not those within further array elements."""
        if self.holds:
            yield path, self.holds
        for step, inner in self.members.items():
            if step != EVERY:
                yield from inner.links((*path, step))


@dataclass(frozen=True)
class Redaction:
    """The redaction of one export; ``salt`` makes its pseudonyms."""

    identity: Identity
    salt: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def document(self, table: Table, column: str, document: sql.Composable, *, own: bool) -> sql.Composable:
        """Redact other people in ``document`` (jsonb). ``own``: the row is the subject's alone."""
        root = _Node()
        for path, kind in table.documents.get(column, {}).items():
            root.at(path).kind = "personal" if kind == "personal" else "plain"
        for belonging in table.belongings:
            if isinstance(belonging.way, ByJson) and belonging.way.column == column:
                root.at(belonging.way.path).holds.add(belonging.way.holds)
        for belonging in table.of_other_kinds:
            if isinstance(belonging.way, ByJson) and belonging.way.column == column:
                # Somebody of another kind, whose keys say nothing of this subject.
                root.at(belonging.way.path).holds.add(_NOBODY)
        return self._place(root, document, TRUE if own else FALSE)

    def array(self, column: sql.Composable, holds: set[str]) -> sql.Composable:
        """Replace the elements of ``column`` that are not the subject's by pseudonyms."""
        name = sql.Identifier(f"e{next(self._numbers)}")
        value = sql.SQL("CAST({}.value AS text)").format(name)
        return sql.SQL(
            "CASE WHEN cardinality({column}) = 0 THEN '[]' WHEN {column} IS NOT NULL THEN "
            "(SELECT coalesce(jsonb_agg(CASE "
            "WHEN {value} IS NULL THEN NULL WHEN {mine} THEN to_jsonb({name}.value) "
            "ELSE to_jsonb({pseudonym}) END ORDER BY {name}.n), '[]') "
            "FROM unnest({column}) WITH ORDINALITY AS {name}(value, n)) END"
        ).format(
            column=column,
            value=value,
            name=name,
            mine=self._mine(value, holds),
            pseudonym=pseudonym(value, self.salt),
        )

    def _place(self, node: _Node, value: sql.Composable, mine: sql.Composable) -> sql.Composable:
        """Redact ``value``; ``mine`` is the SQL condition that its surroundings are the subject's."""
        if mine is TRUE and not node.hides():
            return value
        scalar = self._scalar(node, value, mine)
        members = {step: inner for step, inner in node.members.items() if step != EVERY}
        cases = []
        if mine is TRUE and members:
            # Most documents name nobody and pass whole.
            hiding = [step for step, inner in members.items() if inner.hides()]
            cases.append(
                sql.SQL("WHEN jsonb_typeof({}) = 'object' AND NOT {} ?| {} THEN {}").format(
                    value, value, sql.SQL("CAST({} AS text[])").format(sql.Literal(hiding)), value
                )
            )
        if members:
            cases.append(
                sql.SQL("WHEN jsonb_typeof({}) = 'object' THEN {}").format(
                    value, self._object(node, members, value, mine)
                )
            )
        if EVERY in node.members:
            cases.append(
                sql.SQL("WHEN jsonb_typeof({}) = 'array' THEN {}").format(
                    value, self._array(node.members[EVERY], value, mine)
                )
            )
        if not cases:
            return scalar
        return sql.SQL("CASE {} ELSE {} END").format(sql.SQL(" ").join(cases), scalar)

    def _scalar(self, node: _Node, value: sql.Composable, mine: sql.Composable) -> sql.Composable:
        if node.holds:
            text = sql.SQL("({} #>> '{{}}')").format(value)
            return sql.SQL(
                "CASE WHEN {text} IS NULL OR {own} THEN {value} ELSE to_jsonb({pseudonym}) END"
            ).format(
                text=text, own=self._mine(text, node.holds), value=value, pseudonym=pseudonym(text, self.salt)
            )
        if node.kind == "plain":
            return value
        return sql.SQL("CASE WHEN {} THEN {} END").format(mine, value)

    def _object(
        self, node: _Node, members: Mapping[str, _Node], value: sql.Composable, mine: sql.Composable
    ) -> sql.Composable:
        if mine is TRUE:
            return self._replaced(members, value)
        name = sql.Identifier(f"e{next(self._numbers)}")
        inner = sql.SQL("{}.value").format(name)
        cases = [
            sql.SQL("WHEN {} THEN {}").format(sql.Literal(member), self._place(child, inner, mine))
            for member, child in members.items()
        ]
        # Members that the map does not know count as personal.
        known = (
            TRUE
            if node.kind == "plain"
            else sql.SQL("{}.key = ANY ({})").format(name, sql.Literal(list(members)))
        )
        return sql.SQL(
            "(SELECT coalesce(jsonb_object_agg({name}.key, "
            "CASE {name}.key {cases} ELSE {inner} END), '{{}}') "
            "FROM jsonb_each({value}) AS {name} WHERE {mine} OR {known})"
        ).format(name=name, cases=sql.SQL(" ").join(cases), inner=inner, value=value, mine=mine, known=known)

    def _replaced(self, members: Mapping[str, _Node], value: sql.Composable) -> sql.Composable:
        """Redact the subject's own object, by replacing only the members that can name others."""
        shown = value
        for member, child in members.items():
            if child.hides():
                # jsonb_set of SQL's NULL would make the whole document NULL.
                shown = sql.SQL(
                    "jsonb_set({}, CAST({} AS text[]), coalesce({}, 'null'), create_if_missing => false)"
                ).format(
                    shown,
                    sql.Literal([member]),
                    self._place(child, sql.SQL("({} -> {})").format(value, sql.Literal(member)), TRUE),
                )
        return shown

    def _array(self, element: _Node, value: sql.Composable, mine: sql.Composable) -> sql.Composable:
        name = sql.Identifier(f"e{next(self._numbers)}")
        inner = sql.SQL("{}.value").format(name)
        links = list(element.links())
        if links:
            conditions = [
                self._mine(sql.SQL("({} #>> {})").format(inner, sql.Literal(list(path))), holds)
                for path, holds in links
            ]
            mine = sql.SQL("coalesce({}, false)").format(sql.SQL(" OR ").join(conditions))
        return sql.SQL(
            "(SELECT coalesce(jsonb_agg({} ORDER BY {name}.n), '[]') "
            "FROM jsonb_array_elements({value}) WITH ORDINALITY AS {name}(value, n))"
        ).format(self._place(element, inner, mine), name=name, value=value)

    def _mine(self, text: sql.Composable, holds: set[str]) -> sql.Composable:
        values = sorted(str(value) for name in holds for value in self.identity.of(name))
        return sql.SQL("{} = ANY (CAST({} AS text[]))").format(text, sql.Literal(values)) if values else FALSE
