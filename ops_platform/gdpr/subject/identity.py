"""The identity of a subject: the values by which the database knows them. Never log one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from ops_platform.gdpr.data_map import Subject


@dataclass(frozen=True)
class Identity:
    """The values by which the subject is known, without those that are NULL or unknown.

    ``values``: of the subject's row, by column. ``known_by``: of side tables, by ``KnownBy.name``.
    """

    values: Mapping[str, Any]
    known_by: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[Any, ...]:
        """Return all values of an identifier; empty when the subject has none."""
        return (self.values[name],) if name in self.values else self.known_by.get(name, ())

    def names(self, subject: Subject) -> list[Any]:
        """List the values that name the subject by themselves: not those of ``Subject.parts``."""
        own = [value for name, value in self.values.items() if name not in subject.parts]
        return [*own, *(value for values in self.known_by.values() for value in values)]

    def __or__(self, other: Identity) -> Identity:
        """Join with ``other``, whose values of the row take precedence; side tables' are those of both."""
        names = dict.fromkeys((*self.known_by, *other.known_by))
        return Identity(
            {**self.values, **other.values},
            # Sorted, so that equal sets are equal.
            {name: tuple(sorted({*other.of(name), *self.of(name)}, key=str)) for name in names},
        )

    def spelled_like(self, spellings: Iterable[Any]) -> Identity:
        """Take the spelling of ``spellings`` for values that differ from one of them in case only."""
        known = {folded(spelling): spelling for spelling in spellings}
        return Identity(
            {name: known.get(folded(value), value) for name, value in self.values.items()},
            {
                name: tuple(known.get(folded(value), value) for value in values)
                for name, values in self.known_by.items()
            },
        )

    def without(self, reused: Collection[Any]) -> Identity:
        """Leave out the values that are in ``reused``, which holds texts in lower case."""
        return Identity(
            {name: value for name, value in self.values.items() if folded(value) not in reused},
            {
                name: tuple(value for value in values if folded(value) not in reused)
                for name, values in self.known_by.items()
            },
        )


def folded(value: Any) -> Any:
    """Fold a text to lower case: names are compared without regard to it, as in the residue scan."""
    return value.lower() if isinstance(value, str) else value


def joint_name(columns: Iterable[str]) -> str:
    """Name what several columns say together, in any order."""
    return "+".join(sorted(columns))


def is_subject(subject: Subject, identity: Identity, alias: str) -> sql.Composable:
    """Write the condition for the subject's own row, by its key."""
    return sql.SQL("({})").format(
        sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(alias, column), sql.Literal(identity.values[column]))
            for column in subject.key
        )
    )
