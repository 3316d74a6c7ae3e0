"""Whose the rows of each table are, as a draft sees it: by foreign keys, and by guesses without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ops_platform.gdpr.map_check.draft.link_guess import Guess
from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.schema import Catalogue, Name, Reference, Relation


@dataclass(frozen=True)
class Link:
    """Columns that hold ``to`` of rows of ``target``.

    ``guess``: why that is assumed; empty for foreign keys. ``further``: the rows are somebody's without it.
    """

    columns: tuple[str, ...]
    target: Name
    to: tuple[str, ...]
    on_delete: str = ""
    guess: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    further: bool = False


@dataclass
class Owned:
    """What a table's columns say of people.

    ``links``: the roles to propose. ``refers``: columns with the keys of nobody's rows. ``undecided``: what
    people must decide, and what was found.
    """

    links: list[Link] = field(default_factory=list)
    refers: dict[str, tuple[Name, str]] = field(default_factory=dict)
    undecided: dict[str, str] = field(default_factory=dict)


def keeps(relation: Relation, link: Link, subject: Name, key: Sequence[str]) -> bool:
    """Tell whether rows with a link are kept without it: it may be NULL, and hardly makes them theirs.

    What belongs to such rows is not theirs either.
    """
    if all(relation.columns[column].not_null for column in link.columns):
        return False
    beside = column_names.is_beside(link.columns[-1], key_of_subject=[*link.to] == [*key])
    return link.on_delete == "set null" or relation.name == subject or beside


def ownership(
    catalogue: Catalogue, subject: Name, key: Sequence[str], guesses: Mapping[Name, Iterable[Guess]]
) -> Mapping[Name, Owned]:
    """Find the links that lead to a subject, direct ones first, then through tables with such links.

    ``key``: of the subject.
    """
    owned = {name: Owned() for name in catalogue.relations}
    edges = [(reference.table, _of_reference(reference)) for reference in catalogue.references]
    for table, found in guesses.items():
        for guess in found:
            if guess.target is None:
                owned[table].undecided[guess.column] = guess.why
            else:
                edges.append((table, _of_guess(guess, guess.target)))
    reached, level = {subject}, [subject]
    used: set[int] = set()
    while level:
        further: list[Name] = []
        for number, (table, link) in enumerate(edges):
            if link.target not in level or (table in reached and link.target != subject):
                continue
            owned[table].links.append(link)
            used.add(number)
            if keeps(catalogue.relations[table], link, subject, key):
                continue
            if table not in reached and table not in further:
                further.append(table)
        reached.update(further)
        level = further
    sure = {(table, guess.column) for table, found in guesses.items() for guess in found if guess.sure}
    for number, (table, link) in enumerate(edges):
        if number not in used and not link.guess and {table, link.target} <= reached:
            _add_further(owned[table], link)
        elif number not in used and link.guess:
            _leave(owned[table], table, link, reached, (table, link.columns[0]) in sure)
    return owned


def _add_further(owned: Owned, link: Link) -> None:
    """Add a foreign key from somebody's rows to others of somebody's, or to others of the same table."""
    if (link.columns, link.target) not in {(other.columns, other.target) for other in owned.links}:
        why = f"these are somebody's, and refer to rows of {link.target} besides, which go"
        owned.links.append(replace(link, guess=why, further=True))


def _leave(owned: Owned, table: Name, link: Link, reached: set[Name], sure: bool) -> None:
    """Note a guess that makes no role: a reference to nobody's rows, or one more to somebody's."""
    [column], [to] = link.columns, link.to
    if any(column in other.columns for other in owned.links):
        return
    if link.where:
        owned.undecided.setdefault(column, link.guess)
        return
    owned.refers[column] = (link.target, to)
    if link.target in reached:
        owned.undecided[column] = f"{link.guess}; its rows are somebody's, and so may be these"
        _add_further(owned, link)
    elif not sure:
        owned.undecided[column] = f"{link.guess}; is refers right"


def _of_reference(reference: Reference) -> Link:
    return Link(reference.columns, reference.target, reference.target_columns, reference.on_delete)


def _of_guess(guess: Guess, target: Name) -> Link:
    return Link((guess.column,), target, (guess.to,), "", guess.why, dict(guess.where))
