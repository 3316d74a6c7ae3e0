"""The query of a scan is short, however wide a table is and however many people are looked for."""

from __future__ import annotations

from typing import Any, cast

from psycopg import sql

from ops_platform.gdpr.row_erasure.scan_query import Part, ScanQuery
from ops_platform.gdpr.row_erasure.scan_tests import SearchTests, Shared
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.gdpr.catalogues import column, relation

WHO = (
    "6f1c6a1e-0000-4000-8000-00000000abcd",
    "tomas.horvath.3@example.org",
    "tomas_h",
    "Tom\u00e1s Horv\u00e1th",
)


def size(columns: int, people: int) -> int:
    wide = relation(Name("public", "wide"), *(column(f"c{number}", "text") for number in range(columns)))
    parts = [Part(SearchTests(cast(Any, None), WHO, Shared())) for _ in range(people)]
    query = ScanQuery(wide, [*wide.columns.values()], parts, wide.name.identifier, sql.SQL("true")).compose()
    assert query is not None
    return len(query.as_bytes(None))


def test_each_test_is_written_once() -> None:
    one = size(1, 1)
    assert size(100, 1) < one + 100 * 400
    assert size(100, 5) < 5 * one + 100 * 400
