"""The audit of the data map: personal data in samples of the columns that it calls plain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import DataMap, Subject, Table, kinds
from ops_platform.gdpr.map_check import JSON_TYPES, Finding, json_sampling
from ops_platform.gdpr.reports import map_review
from ops_platform.gdpr.schema import Catalogue, Column

_TEXTS = ("text", "character varying", "character", "citext", "name", "xml", "hstore", *JSON_TYPES)
_EMAIL = r"[[:alnum:]._%+-]+@[[:alnum:]-]+(\.[[:alnum:]-]+)*\.[[:alpha:]]{2,}"
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def audit(databases: Iterable[OpenDatabase]) -> list[Finding]:
    """List the findings of ``map check``, and plain columns with personal data. Raises what psycopg raises.

    Of a large table, it reads rows from blocks drawn at random: each audit sees others. For keys of subjects
    it looks in the home database only.
    """
    return sorted(
        finding
        for database in databases
        for finding in map_review.in_its_database(
            database,
            {
                *map_review.of_database(database),
                *_suspicious(database.connection, database.data_map, database.catalogue),
            },
        )
    )


def _suspicious(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    for table in data_map.tables.values():
        relation = catalogue.relations.get(table.name)
        if relation is None or relation.kind in ("view", "matview", "foreign"):
            continue
        tests = list(_tests(table, relation.columns, data_map, catalogue))
        if not tests:
            continue
        counts = _count_sampled(connection, table, tests)
        for number, (where, code, content, _) in enumerate(tests):
            if count := counts[f"c{number}"]:
                yield Finding(
                    f"{table.name}.{where}",
                    code,
                    f"is plain by the map, but {count} of the sampled rows hold {content}: classify it",
                )


def _count_sampled(
    connection: Connection, table: Table, tests: list[tuple[str, str, str, sql.Composable]]
) -> dict[str, int]:
    percentage = json_sampling.block_percentage(connection, table.name)
    source = sql.SQL("{} TABLESAMPLE SYSTEM ({})").format(table.name.identifier, sql.Literal(percentage))
    query = sql.SQL("SELECT {counts} FROM (SELECT * FROM {source} LIMIT {limit}) AS t").format(
        counts=sql.SQL(", ").join(
            sql.SQL("count(*) FILTER (WHERE {}) AS {}").format(test, sql.Identifier(f"c{number}"))
            for number, (_, _, _, test) in enumerate(tests)
        ),
        source=table.name.identifier if percentage >= 100 else source,
        limit=sql.Literal(json_sampling.SAMPLE),
    )
    return one_row(connection, query)


def _tests(
    table: Table, columns: Mapping[str, Column], data_map: DataMap, catalogue: Catalogue
) -> Iterator[tuple[str, str, str, sql.Composable]]:
    """Yield the tests of plain columns: the place, the code of a finding, what was found, the test."""
    subjects = [of_kind.subject for of_kind in kinds.every(data_map) if _uuid_key(of_kind, catalogue)]
    for name in sorted(table.plain & set(columns)):
        column, reference = columns[name], sql.Identifier("t", name)
        if column.base in _TEXTS:
            yield from _text_tests(name, sql.SQL("CAST({} AS text)").format(reference), subjects)
        elif column.base == "uuid" and not column.array:
            for subject in subjects:
                yield (
                    name,
                    "subject-key",
                    f"keys of a {subject.kind}",
                    sql.SQL("{} IN (SELECT {} FROM {})").format(
                        reference, sql.Identifier(subject.key[0]), subject.table.identifier
                    ),
                )
    for name, classes in table.documents.items():
        for path, class_ in classes.items():
            if class_ == "plain" and name in columns:
                text = sql.SQL(
                    "(SELECT string_agg(v #>> '{{}}', ' ') FROM jsonb_path_query(CAST({} AS jsonb), {}) AS v)"
                ).format(sql.Identifier("t", name), sql.Literal(path.sql))
                yield from _text_tests(f"{name} {path}", text, subjects)


def _text_tests(
    where: str, text: sql.Composable, subjects: Iterable[Subject]
) -> Iterator[tuple[str, str, str, sql.Composable]]:
    yield where, "email-like", "e-mail addresses", sql.SQL("{} ~* {}").format(text, sql.Literal(_EMAIL))
    for subject in subjects:
        yield (
            where,
            "subject-key",
            f"keys of a {subject.kind}",
            sql.SQL(
                "EXISTS (SELECT FROM regexp_matches({text}, {pattern}, 'gi') AS m "
                "JOIN {subjects} AS s ON s.{key} = CAST(m[1] AS uuid))"
            ).format(
                text=text,
                pattern=sql.Literal(f"({_UUID})"),
                subjects=subject.table.identifier,
                key=sql.Identifier(subject.key[0]),
            ),
        )


def _uuid_key(data_map: DataMap, catalogue: Catalogue) -> bool:
    """Tell whether one UUID names a subject: what is part of a key says nothing by itself."""
    subject, key = catalogue.relations.get(data_map.subject.table), data_map.subject.key
    return subject is not None and len(key) == 1 and subject.columns[key[0]].base == "uuid"
