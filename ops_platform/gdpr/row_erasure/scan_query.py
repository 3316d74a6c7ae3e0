"""The query of a residue scan of one relation: each row is looked at once, and few are tested value by value.

The columns of a row that passes become rows, so that each test is written once, however many columns there
are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from ops_platform.gdpr.row_erasure.scan_tests import SearchTests, any_test
from ops_platform.gdpr.schema import Column, Relation
from ops_platform.gdpr.spellings import Sought, row_look


@dataclass(frozen=True)
class Part:
    """What is searched of a relation for one subject.

    ``skipped``: the condition, of rows called t, for rows to pass over. ``image``: writes what is searched in
    place of the rows that it is given, a subquery or the name of one; None: they themselves.
    """

    tests: SearchTests
    skipped: sql.Composable | None = None
    image: Callable[[sql.Composable], sql.Composable] | None = None


@dataclass(frozen=True)
class ScanQuery:
    """The query of one pass through a relation, for all ``parts``.

    ``table``: what is read, all of it or the rows, called t, for which ``where`` is true.
    """

    relation: Relation
    columns: Sequence[Column]
    parts: Sequence[Part]
    table: sql.Composable
    where: sql.Composable

    def compose(self) -> sql.Composed | None:
        """Write the query; None where no column holds names.

        Its rows: ``search``, a number of ``parts``, ``place``, a number of ``columns``, and ``hits``.
        """
        tests = {
            number: test
            for number, part in enumerate(self.parts)
            if (test := part.tests.of(self.relation, dict(enumerate(self.columns)))) is not None
        }
        if not tests:
            return None
        images = [number for number in tests if self.parts[number].image is not None]
        together = [number for number in tests if self.parts[number].image is None]
        rows = sql.SQL("rows_passing") if len(images) + bool(together) > 1 else self._passing()
        counts = [
            self._hits(image(rows), {number: tests[number]})
            for number in images
            if (image := self.parts[number].image) is not None
        ]
        if together:
            counts.append(self._hits(rows, {number: tests[number] for number in together}))
        query = sql.SQL(" UNION ALL ").join(counts)
        if len(counts) == 1:
            return query
        # They are read once, whatever the number of searches.
        return sql.SQL("WITH rows_passing AS MATERIALIZED {} {}").format(self._passing(), query)

    def _hits(self, rows: sql.Composable, tests: Mapping[int, sql.Composable]) -> sql.Composable:
        """Write the count of hits in ``rows``. Each value is computed once, whatever the number of tests."""
        values = sql.SQL(", ").join(
            sql.SQL("({}, {})").format(
                sql.Literal(place), self._text(column) or sql.SQL("CAST(NULL AS text)")
            )
            for place, column in enumerate(self.columns)
        )
        return sql.SQL(
            "(SELECT h.search, c.place, h.hits "
            "FROM (SELECT u.place, ARRAY[{counts}] AS counts FROM {rows} AS t "
            "CROSS JOIN LATERAL (SELECT v.place, {value} AS value, {lowered} AS lowered "
            "FROM (VALUES {values}) AS v (place, value) OFFSET 0) AS u GROUP BY u.place) AS c "
            "CROSS JOIN unnest(CAST({searches} AS int[]), c.counts) AS h (search, hits) WHERE h.hits > 0)"
        ).format(
            counts=sql.SQL(", ").join(
                sql.SQL("count(*) FILTER (WHERE {})").format(self._not_skipped(number, test))
                for number, test in tests.items()
            ),
            rows=rows,
            # Columns may have different collations.
            value=sql.SQL('v.value COLLATE pg_catalog."default"'),
            lowered=Sought.lowered(sql.SQL("v.value")),
            values=values,
            searches=sql.Literal([*tests]),
        )

    def _not_skipped(self, number: int, test: sql.Composable) -> sql.Composable:
        skipped = self.parts[number].skipped
        return test if skipped is None else sql.SQL("({}) IS NOT TRUE AND {}").format(skipped, test)

    def _text(self, column: Column) -> sql.Composable | None:
        return next((text for part in self.parts if (text := part.tests.text_of(column)) is not None), None)

    def _passing(self) -> sql.Composable:
        """Write the rows that may name anybody, without those that surely name nobody."""
        relation, people = self.relation, [one for part in self.parts for one in part.tests.people]
        texts = {column.name: text for column in self.columns if (text := self._text(column)) is not None}
        images = any(part.image is not None for part in self.parts)
        # In an image, a row's relation can be asked for.
        own: list[sql.Composable] = [sql.SQL("t.*"), *([sql.SQL("t.tableoid")] if images else [])]
        names = (name for number in itertools.count() if (name := f"text_{number}") not in relation.columns)
        whole = next(names)
        # Each cast is computed once; what is a text already is not copied.
        casts = {
            name: next(names)
            for name in texts
            if relation.columns[name].array
            or relation.columns[name].base not in ("text", "character varying")
        }
        own += [sql.SQL("{} AS {}").format(texts[name], sql.Identifier(cast)) for name, cast in casts.items()]
        rows: sql.Composable = sql.SQL("(SELECT {} FROM {} AS t WHERE {} OFFSET 0)").format(
            sql.SQL(", ").join(own), self.table, self.where
        )
        held = [sql.Identifier("t", casts[name]) if name in casts else text for name, text in texts.items()]
        lowered = sql.Identifier("t", whole)
        kinds = {Sought.kind(relation.columns[name]) for name in texts}
        look = row_look.passes(people, lowered, held, kinds) if held else sql.SQL("false")
        if look is None:
            return rows
        apart = [*self._apart(people)]
        if not held:
            return sql.SQL("(SELECT t.* FROM {} AS t WHERE {} OFFSET 0)").format(rows, any_test(apart))
        return sql.SQL(
            "(SELECT {own} FROM (SELECT t.*, {together} AS {whole} FROM {rows} AS t OFFSET 0) AS t "
            "WHERE {lowered} IS NULL OR {look} OFFSET 0)"
        ).format(
            own=sql.SQL(", ").join(
                [
                    *(sql.Identifier("t", name) for name in relation.columns),
                    *([sql.SQL("t.tableoid")] if images else []),
                ]
            ),
            together=row_look.together(held),
            whole=sql.Identifier(whole),
            rows=rows,
            lowered=lowered,
            look=any_test([look, *apart]),
        )

    def _apart(self, people: Sequence[Sought]) -> Iterator[sql.Composable]:
        """Write what is tested of columns beside their texts: UUIDs of anybody's, and lexemes."""
        anybody = Sought((), tuple(sorted({uuid for sought in people for uuid in sought.uuids})))
        for column in self.columns:
            test = anybody.uuid_test(column, sql.Identifier("t", column.name))
            if test is not None:
                yield test
            for part in self.parts:
                yield from part.tests.lexemes(column)
