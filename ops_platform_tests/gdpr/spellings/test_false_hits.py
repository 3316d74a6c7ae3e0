"""In generated text about other people nobody is found by mistake."""

from __future__ import annotations

import pytest

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.row_erasure import residue_scan
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.schema.relation_name import Name

pytestmark = pytest.mark.services

WHO = (
    "tomas.horvath.3@example.org",
    "tomas.horvath.3",
    "tomas_h",
    "Tomás Horváth",
    "+421 905 123 456",
    "6f1c6a1e-0000-4000-8000-00000000abcd",
)
NEAR = 100
"""Every so many rows there is one about people with nearly the same names."""
MANY = 100_000
"""Rows of the long test, which take about a minute; a million would take ten."""
CORPUS = """
CREATE TABLE corpus (n bigint, text text, encoded text, bytes bytea, document jsonb, words tsvector);
WITH lists AS (
    SELECT ARRAY['Tomas', 'Anna', 'Zoë', 'Maria', 'Jan', 'Eva', 'Petr', 'Tomáš', 'Li', 'Omar'] AS firsts,
           ARRAY['Horvath', 'Novak', 'Müller', 'Smith', 'Kim', 'Lee', 'Nagy', 'Toth', 'Tomas', 'Horváthová']
               AS lasts,
           ARRAY['the', 'order', 'was', 'sent', 'to', 'our', 'house', 'in', 'time', 'and', 'paid', 'by',
                 'horvath', 'card', 'tomas', 'example', 'org', '421', '905'] AS words
), drawn AS (
    SELECT n, firsts, lasts, words, n % {near} = 0 AS near, random() AS r,
           4 + (random() * 9999)::int AS number,
           1 + (random() * 9)::int AS f, 1 + (random() * 9)::int AS l, 1 + (random() * 18)::int AS w
    FROM generate_series(1, {rows}) AS n CROSS JOIN lists
), named AS (
    SELECT n, near, CASE WHEN f = 1 AND (NOT near OR l = 1) THEN 'Anna' ELSE firsts[f] END AS first,
           CASE WHEN l = 1 AND NOT near THEN 'Novak' ELSE lasts[l] END AS last,
           words[CASE WHEN near THEN w ELSE w % 12 + 1 END] AS word, number, md5(r::text) AS hash
    FROM drawn
), written AS (
    SELECT *, lower(first) || '.' || lower(last) || '.' || number AS handle,
           '+421 905 ' || number || ' ' || (number * 7) % 1000 AS phone
    FROM named
)
INSERT INTO corpus
SELECT n,
       format('%s %s wrote: %s, %s. <%s@example.org> %s %s', first, last, word, handle, handle,
              phone, hash::uuid)
       || CASE WHEN near THEN
              format(' tomas.horvath.%s, tomas.horvath%s@example.org, tomas_h%s; Tomas, %s; '
                     'Horvath and Anna; old.tomas.horvath.3; tomas.horvath.3.%s; xtomas.horvath.3',
                     number + 26, number, number, last, word)
          ELSE ' ' || repeat('and more of it, ', number % 20) END,
       encode(convert_to(format('%s %s %s', word, CASE WHEN near THEN 'tomas.horvath.' || number + 26
                                                       ELSE handle END, hash), 'UTF8'), 'base64'),
       decode(hash || hash, 'hex') || convert_to(handle, 'UTF8') || decode('00', 'hex'),
       jsonb_build_object('to', handle || '@example.org', 'tel', phone, 'note', first || E'\\n' || last,
                          'url', 'https://x.example/?to=' || handle || '%40example.org&n=' || number),
       to_tsvector('english', concat_ws(' and ', word, first, last, handle))
FROM written;
"""


def hits(demo: Connection) -> dict[str, int]:
    known = catalogue.read(demo)
    relation = known.relations[Name("public", "corpus")]
    found = residue_scan.scan(demo, Catalogue({relation.name: relation}, ()), WHO)
    return {hit.column: hit.rows for hit in found}


def write(demo: Connection, rows: int) -> None:
    demo.execute("SELECT setseed(0.42)")
    demo.execute(CORPUS.replace("{rows}", str(rows)).replace("{near}", str(NEAR)))


def test_nobody_is_found_by_mistake(demo: Connection) -> None:
    write(demo, 1_000)
    assert hits(demo) == {}
    demo.execute("INSERT INTO corpus (text) VALUES ('by tomas.horvath.3.')")
    assert hits(demo) == {"text": 1}


@pytest.mark.full
def test_nobody_is_found_by_mistake_in_many_rows(demo: Connection) -> None:
    write(demo, MANY)
    assert hits(demo) == {}
