"""The parser of what tells kinds of subject apart: ``subjects``, and ``of`` in what is about some of them.

Keys of different kinds may be equal. A map in which one key would find the data of two kinds is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import combinations

from ops_platform.gdpr.data_map import file_schema, kinds
from ops_platform.gdpr.data_map.map_document import MapDocument
from ops_platform.gdpr.data_map.model import (
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    Constant,
    DataMap,
    holds_of,
)
from ops_platform.gdpr.schema import Name
from ops_platform.lined_yaml import KeyPath

Item = (
    file_schema.Row
    | file_schema.Objects
    | file_schema.CacheKeys
    | file_schema.Processor
    | file_schema.Accepted
)

_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on"), "1"),
    **dict.fromkeys(("false", "f", "no", "n", "off"), "0"),
}


@dataclass(frozen=True)
class KindSource:
    """A kind of subject in the file, and where it stands there."""

    kind: str
    path: KeyPath
    subject: file_schema.SubjectOfKind


@dataclass(frozen=True)
class KindParser:
    """The parser of a file's kinds. Its methods raise ConfigurationError with the place of what is wrong."""

    document: MapDocument

    def parse(self, model: file_schema.Map) -> list[KindSource]:
        """List the kinds in the file's order, and check every ``of``."""
        if model.subject is not None and model.subjects is not None:
            raise self.document.error(("subjects",), "does not go with subject: move that into subjects")
        if model.subject is not None:
            sources = [KindSource(model.subject.kind, ("subject",), model.subject)]
        elif model.subjects is not None:
            sources = [KindSource(kind, ("subjects", kind), of) for kind, of in model.subjects.items()]
        else:
            raise self.document.error(
                ("subject",), "is missing: say whose data this is, in subjects if there are several kinds"
            )
        tables: dict[Name, str] = {}
        for source in sources:
            path = (*source.path, "table")
            table = self.document.name(path, source.subject.table)
            if table in tables:
                raise self.document.error(
                    path, f"is the table of every {tables[table]} already: people of one table are one kind"
                )
            tables[table] = source.kind
        known = [source.kind for source in sources]
        for item_path, of in _items(model):
            self._check_of(item_path, of, known)
        return sources

    def _check_of(self, path: KeyPath, of: Sequence[str] | None, known: Sequence[str]) -> None:
        if of is None and len(known) > 1:
            raise self.document.error(path, f"say of whom: of: {' or '.join(known)}")
        for kind in of or ():
            if kind not in known:
                raise self.document.error(
                    (*path, "of"), f"there are no subjects of the kind {kind}, but {' and '.join(known)}"
                )

    def refuse_shared_keys(self, model: file_schema.Map, maps: Sequence[DataMap]) -> None:
        """Refuse what one key would find for two kinds: rows, objects, and keys of the cache."""
        for first, second in combinations(maps, 2):
            self._refuse_shared_rows(model, first, second)
        places: list[tuple[KeyPath, str | None, str | None, str]] = [
            *((("objects", n, "prefix"), o.of, o.bucket, o.prefix) for n, o in enumerate(model.objects)),
            *((("cache", n, "pattern"), k.of, None, k.pattern) for n, k in enumerate(model.cache)),
        ]
        for (_, of, bucket, template), (path, other_of, other_bucket, other) in combinations(places, 2):
            if bucket != other_bucket or of == other_of:
                continue
            if kinds.begin_alike(template, other):
                raise self.document.error(
                    path,
                    f"may be the same as {template}, which is of every {of}: keys of different kinds can be "
                    "equal, so let the two begin with different words",
                )

    def _refuse_shared_rows(self, model: file_schema.Map, first: DataMap, second: DataMap) -> None:
        for text, table_model in model.tables.items():
            name = Name.parse(text)
            for number, row in enumerate(table_model.rows):
                if not concerns(row, second.subject.kind):
                    continue
                later = next(
                    belonging for belonging in second.tables[name].belongings if belonging.role == row.role
                )
                for earlier in first.tables[name].belongings:
                    if _same_keys(earlier, first, later, second):
                        raise self.document.error(
                            ("tables", text, "rows", number),
                            f"{' and '.join(later.way.columns)} may hold the key of a {first.subject.kind} "
                            f"(role {earlier.role}) or of a {second.subject.kind} (role {later.role}), and "
                            "keys of different kinds can be equal: say in where which rows are whose",
                        )


def concerns(item: Item, kind: str) -> bool:
    """Tell whether an item is about this kind. Only a map of one kind may lack ``of``: then it is."""
    return item.of is None or (kind == item.of if isinstance(item.of, str) else kind in item.of)


def _items(model: file_schema.Map) -> Iterator[tuple[KeyPath, Sequence[str] | None]]:
    for path, places in model.everywhere:
        for text, table in places.tables.items():
            for number, row in enumerate(table.rows):
                yield (*path, "tables", text, "rows", number), row.of
        for number, accepted in enumerate(places.accepted):
            yield (*path, "accepted", number), accepted.of
    for number, place in enumerate(model.objects):
        yield ("objects", number), None if place.of is None else [place.of]
    for number, keys in enumerate(model.cache):
        yield ("cache", number), None if keys.of is None else [keys.of]
    for number, processor in enumerate(model.processors):
        yield ("processors", number), processor.of


def _same_keys(first: Belonging, first_map: DataMap, second: Belonging, second_map: DataMap) -> bool:
    """Tell whether one key may find rows in both roles."""
    way, other = first.way, second.way
    if not isinstance(way, ByColumn | ByArray | ByJson) or not isinstance(other, ByColumn | ByArray | ByJson):
        return False
    if isinstance(way, ByJson) and isinstance(other, ByJson) and way.path != other.path:
        return False
    pairs = ((way, set(first_map.subject.key)), (other, set(second_map.subject.key)))
    by_key = [key & set(holds_of(by)) for by, key in pairs]
    whole = [key <= set(holds_of(by)) for by, key in pairs]
    columns, others = (_finding(by, key) for by, key in pairs)
    alike = (set(way.columns) == set(other.columns) and any(by_key)) or (
        (columns <= others or others <= columns) and any(whole)
    )
    return alike and not _apart(first.where, second.where)


def _finding(way: ByColumn | ByArray | ByJson, key: set[str]) -> set[str]:
    """Return the columns that find a row: of those that hold the key and more, the key's.

    In two roles with columns of their own beside a common one, as a tenant's, these tell the rows apart.
    """
    held = dict(zip(way.columns, holds_of(way), strict=True))
    return {column for column, of in held.items() if of in key} if key <= {*held.values()} else {*held}


def _apart(where: Mapping[str, Sequence[Constant]], other: Mapping[str, Sequence[Constant]]) -> bool:
    """Tell whether no row can fit both conditions."""
    return any(
        {_comparable(value) for value in values}.isdisjoint(map(_comparable, other[column]))
        for column, values in where.items()
        if column in other
    )


def _comparable(constant: Constant) -> str | None:
    """Spell a constant so that whatever a column of some type takes for equal is equal."""
    if constant.value is None:
        return None
    text = str(constant.value).strip()
    spelled = _BOOLEANS.get(text.lower(), text)
    try:
        number = Decimal(spelled)
    except InvalidOperation:
        return spelled
    return str(number.normalize()) if number.is_finite() and number else "0" if number == 0 else spelled
