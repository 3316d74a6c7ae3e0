"""The judgement by statements of our own: nothing is left of the person, and nobody else's rows changed.

Whose a row is comes from the generator, which asks neither the data map nor the platform.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ops_platform_tests.gdpr.erasing import Product
from ops_platform_tests.gdpr.schema_trial.rows import RowId, Truth

Rows = dict[str, Counter[str]]


@dataclass(frozen=True)
class Judgement:
    """``rows``: of the whole database; ``touching``: of which lead to the person; ``wrong``: faults."""

    rows: int
    touching: int
    changed: int
    wrong: tuple[str, ...]


def snapshot(product: Product) -> Rows:
    """The rows of every table as texts, with their number."""
    rows: Rows = {}
    with product.cluster.superuser(product.name) as superuser:
        for table in tables(superuser):
            query = sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(table))
            rows[table] = Counter(str(row[0]) for row in superuser.execute(query))
    return rows


def tables(superuser: psycopg.Connection[Any]) -> list[str]:
    query = (
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = 'public' ORDER BY 1"
    )
    return [str(row[0]) for row in superuser.execute(query)]


def note_places(product: Product, truth: Truth) -> None:
    """Find the text of each generated row: they were made in the order of their numbers."""
    with product.cluster.superuser(product.name) as superuser:
        for table in tables(superuser):
            numbers = sorted(number for name, number in truth.refers if name == table)
            query = sql.SQL("SELECT t::text FROM {} AS t ORDER BY t.ctid").format(sql.Identifier(table))
            for number, row in zip(numbers, superuser.execute(query), strict=False):
                truth.keys[table, number] = str(row[0])


def judge(product: Product, truth: Truth, before: Rows, person: RowId, key: str) -> Judgement:
    """Look for the person everywhere, and compare the rows that do not lead to them."""
    with product.cluster.superuser(product.name) as superuser:
        wrong = list(_left(superuser, truth, person, key))
    touching = {
        (table, truth.keys[table, number])
        for table, number in truth.touching(person)
        if (table, number) in truth.keys
    }
    after, changed = snapshot(product), 0
    for table, rows in before.items():
        for text in rows - after[table]:
            changed += 1
            if (table, text) not in touching:
                wrong.append(f"a row of {table} that does not lead to the person changed: {text[:150]}")
    return Judgement(sum(rows.total() for rows in before.values()), len(touching), changed, tuple(wrong))


def _left(superuser: psycopg.Connection[Any], truth: Truth, person: RowId, key: str) -> Iterator[str]:
    subject, number = person
    for (table, column), target in sorted(truth.links.items()):
        if target != subject:
            continue
        query = sql.SQL(
            "SELECT count(*) FROM {} AS t "
            "WHERE ARRAY[%s] && string_to_array(trim(both '{{}}' FROM {}::text), ',')"
        ).format(sql.Identifier(table), sql.Identifier(column))
        [count] = superuser.execute(query, [key]).fetchone() or (0,)
        if count:
            yield f"{count} rows of {table} are left by {column}"
    names = rf"person{number}@|person_{number}x|Anna Number{number}\M"
    for table in tables(superuser):
        query = sql.SQL("SELECT count(*) FROM {} AS t WHERE t::text ~ %s").format(sql.Identifier(table))
        [count] = superuser.execute(query, [names]).fetchone() or (0,)
        if count:
            yield f"{count} rows of {table} name the person"
