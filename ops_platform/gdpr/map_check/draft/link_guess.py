"""The draft's guesses of what columns without a foreign key refer to: by name, by type, by values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ops_platform.gdpr.map_check import row_links, type_pairs
from ops_platform.gdpr.map_check.draft.value_look import ValueLook
from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.schema import Catalogue, Column, Name, Relation

_OF_ITS_OWN_TABLE = re.compile("parent|root|original|previous|next|ancestor|source|reply|replied|duplicate")
FEW = 3
"""Values that must be there at least before a name that says nothing is taken for a link."""


@dataclass(frozen=True)
class Guess:
    """A column that may hold ``to`` of rows of ``target``; without a target, something that nobody can tell.

    ``why``: what speaks for it, in words. ``sure``: its name and its values agree. ``where``: the column that
    says of what a row is, and its value.
    """

    column: str
    target: Name | None
    to: str
    why: str
    sure: bool = False
    where: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Guesser:
    """Guesses in one database.

    ``holds``: columns of the ``subject``'s table: ``key_width`` of its key, then other identifiers.
    """

    catalogue: Catalogue
    subject: Name
    holds: Sequence[str]
    key_width: int
    look: ValueLook

    def guesses(self, relation: Relation) -> Iterator[Guess]:
        """Yield a guess for each column that looks like a link and is in no foreign key."""
        referring = {
            column
            for reference in self.catalogue.references
            if reference.table == relation.name
            for column in reference.columns
        }
        for column in relation.columns.values():
            if column.name in referring or column.generated:
                continue
            if relation.name == self.subject and column.name in self.holds:
                continue
            stem = column_names.stem(column, self.catalogue.relations)
            if stem is not None:
                if not column_names.is_own_key(column, relation, stem):
                    yield from self._link(relation, column, stem)
            elif self._same_kind(column, self.holds[0]) and self._tells(column):
                yield from self._by_values_alone(relation, column)
            else:
                found = next(self._identifier(relation, column), None)
                if found is None and column_names.is_person(column):
                    found = Guess(column.name, None, "", f"{column.type}: somebody's name, or a key")
                if found is not None:
                    yield found

    def _link(self, relation: Relation, column: Column, stem: str) -> Iterator[Guess]:
        type_column = type_pairs.type_of(relation, column.name)
        if type_column is not None:
            yield from self._pair(relation, column, type_column)
            return
        target = self._target(relation, column, stem)
        if target is None:
            found = next(self._by_values_alone(relation, column), None)
            yield found or Guess(column.name, None, "", f"{column.type}, and no table is called like it")
            return
        if target == self.subject and not self._same_kind(column, self.holds[0]):
            other = next(self._identifier(relation, column), None)
            yield other or Guess(
                column.name, None, "", f"by its name of {target}, but {column.type} holds no key of it"
            )
            return
        if column.array and target != self.subject:
            yield Guess(column.name, None, "", f"by its name keys of {target}")
            return
        to = self._key(target)
        yield self._weighed(relation, column, target, to, "by its name")

    def _weighed(self, relation: Relation, column: Column, target: Name, to: str, why: str) -> Guess:
        share = self.look.share(relation.name, column.name, target, to)
        if share is None or not share.values:
            told = "no values could be looked at" if share is None else "there are no values"
            return Guess(column.name, target, to, f"{why} of {target}.{to}; {told}")
        told = f"{why} of {target}.{to}; {share.there} of {share.values} sampled values are there"
        if not share.there:
            return Guess(column.name, None, "", told)
        return Guess(column.name, target, to, told, sure=share.mostly)

    def _pair(self, relation: Relation, column: Column, type_column: str) -> Iterator[Guess]:
        types = self.look.types(relation.name, type_column)
        told = f"{type_column} says of what"
        guessed = False
        for value in types:
            word = "_".join(
                column_names.words(value.replace("\\", "/").rpartition("/")[2].rpartition(":")[2])
            )
            target = self._named(relation, word)
            if target is not None and not column.array and self._same_kind(column, self._key(target), target):
                guessed = True
                why = f"{told}, and has the value {value}"
                yield Guess(column.name, target, self._key(target), why, where=((type_column, value),))
        if not guessed:
            values = f", of {', '.join(sorted(types))}" if types else "; there are no values"
            yield Guess(column.name, None, "", told + values)

    def _identifier(self, relation: Relation, column: Column) -> Iterator[Guess]:
        """Guess that a text holds an address of the subject, or another identifier."""
        for held in self.holds[self.key_width :]:
            identifier = self.catalogue.relations[self.subject].columns[held]
            alike = column.name == held or (
                column_names.is_email(column) and column_names.is_email(identifier)
            )
            by = column_names.is_person(column)
            by = by or column_names.stem(column, self.catalogue.relations) is not None
            if column.array or not (alike or by) or not self._same_kind(column, held):
                continue
            share = self.look.share(relation.name, column.name, self.subject, held)
            if share is not None and share.there:
                why = f"{share.there} of {share.values} sampled values are {held} of {self.subject}"
                yield Guess(column.name, self.subject, held, why, sure=share.mostly)
                return
            if alike and (share is None or not share.values):
                # An address may be anybody's: without values, no rows are claimed for the subject.
                yield Guess(column.name, None, "", f"may hold {held} of {self.subject}; no values tell")
                return

    def _by_values_alone(self, relation: Relation, column: Column) -> Iterator[Guess]:
        if self.key_width > 1 or column.name in relation.key or not self._same_kind(column, self.holds[0]):
            return
        share = self.look.share(relation.name, column.name, self.subject, self.holds[0])
        if share is None or share.values < FEW or not share.mostly:
            return
        why = f"{share.there} of {share.values} sampled values are keys of {self.subject}"
        if self._tells(column):
            yield Guess(column.name, self.subject, self.holds[0], why)
        elif column_names.stem(column, self.catalogue.relations) is not None:
            yield Guess(column.name, None, "", f"{why}, as small numbers often are")

    def _tells(self, column: Column) -> bool:
        """Tell whether equal values are no accident: numbers are given out in every table."""
        return column.base == "uuid"

    def _target(self, relation: Relation, column: Column, stem: str) -> Name | None:
        named = self._named(relation, stem)
        if named is not None and (named == self.subject or self._same_kind(column, self._key(named), named)):
            return named
        words = column_names.words(stem)
        own = _OF_ITS_OWN_TABLE.fullmatch(words[0]) and len(words) <= 2 and len(relation.key) == 1
        if own and self._same_kind(column, relation.key[0], relation.name):
            return relation.name
        by = "by" in (words[-1], column_names.words(column.name)[-1])
        return self.subject if self.key_width == 1 and (by or words[-1] in column_names.PEOPLE) else None

    def _named(self, relation: Relation, stem: str) -> Name | None:
        """Find the table that a stem names, with one column as its key: the longest name first."""
        found = [
            name
            for name, other in self.catalogue.relations.items()
            if other.kind in ("table", "partitioned")
            and len(self._keys(name)) == 1
            and (column_names.names(stem, name) or self._ends(stem, name))
        ]
        exact = [name for name in found if column_names.names(stem, name)]
        candidates = sorted(
            exact or found, key=lambda name: (name.schema != relation.name.schema, -len(name.relation), name)
        )
        if exact or len(candidates) == 1:
            return candidates[0] if candidates else None
        return self.subject if self.subject in candidates else None

    def _ends(self, stem: str, table: Name) -> bool:
        """Tell whether a table's name ends with the stem, as ``res_partner`` does with ``partner``."""
        words = column_names.words(table.relation)
        return any(
            column_names.names("_".join(words[start:]), Name(table.schema, stem))
            for start in range(1, len(words))
        )

    def _keys(self, table: Name) -> Sequence[str]:
        if table == self.subject:
            return self.holds[: self.key_width]
        return self.catalogue.relations[table].key

    def _key(self, table: Name) -> str:
        return self._keys(table)[0]

    def _same_kind(self, column: Column, other: str, table: Name | None = None) -> bool:
        columns = self.catalogue.relations[table or self.subject].columns
        return row_links.family(column) == row_links.family(columns[other])
