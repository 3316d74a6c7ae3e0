"""The residue scan for one person in half a gigabyte of rows, beside a plain search for one word.

The plain search reads the same columns and counts the rows that hold a word in any case (ILIKE), which is
what one would write by hand. Beside it, for comparison: one that takes the case as it is (LIKE).
Target: at least 0.6 of the plain search's rate, for a whole identity in all its spellings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

from ops_platform.clients.postgres.connection import Connection, one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.row_erasure import foresee, residue_scan
from ops_platform.gdpr.row_erasure.residue_scan import Search
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform_tests.benchmarks.measure import Report, Target, Timing, timed
from ops_platform_tests.gdpr.erasing import Products, erasing, map_of
from ops_platform_tests.services import Services

SCHEMA = """
CREATE TABLE letters (id bigint, owner uuid, handle text, email text, body text, payload jsonb);
INSERT INTO letters
SELECT n, md5(n::text)::uuid, 'user.' || n % 100000, 'user.' || n % 100000 || '@example.org',
       'Dear customer, order ' || n || ' of ' || md5((n % 1000)::text) || ' has left our house today. '
       || repeat('The quick brown Fox jumps over the lazy Dog, and nobody minds it at all. ', 4),
       jsonb_build_object('to', 'user.' || n % 100000 || '@example.org', 'items', jsonb_build_array(n, n + 1),
                          'note', 'Leave it at the door, please', 'trace', md5((n + 1)::text))
FROM generate_series(1, {rows}) AS n;
"""
PEOPLE = "CREATE TABLE people (id uuid PRIMARY KEY, email text, handle text, name text)"
MAP = """
subject: {kind: person, table: people, key: id, email: email, identifiers: [handle, name]}
tables:
  people: {personal: [email, handle, name], rows: [{role: account, column: id, erase: delete}]}
  letters:
    plain: [id]
    personal: [handle, email, body, payload]
    rows:
      - role: owner
        column: owner
        erase: {anonymise: {owner: null, handle: null, email: null, body: null, payload: null}}
"""
"""The search before an erasure reads each row as this map will leave it."""
WHO = (
    UUID("6f1c6a1e-0000-4000-8000-00000000abcd"),
    "tomas.horvath.3@example.org",
    "tomas.horvath.3",
    "Tomás Horváth",
)
OTHERS = 10
"""Further subjects of the search for a batch."""
COLUMNS = ("handle", "email", "body", "payload")
REPETITIONS = 5
PLAIN = "plain search (ILIKE)"
PREFLIGHT = "search before an erasure"


def run(say: Callable[[str], None], *, quick: bool = False) -> list[Report]:
    rows = 30_000 if quick else 1_000_000
    services = Services.start()
    try:
        cluster = services.cluster("product", archive=False)
        product = Products(cluster).create()
        with product.owner() as owner:
            say(f"making {rows} rows")
            owner.execute(SCHEMA.replace("{rows}", str(rows)))
            owner.execute(PEOPLE)
            owner.execute("INSERT INTO people VALUES (%s, %s, %s, %s)", WHO)
            owner.execute("VACUUM ANALYZE letters")
            return [measured(owner, rows)]
    finally:
        services.close()


def measured(owner: Connection, rows: int) -> Report:
    """Each in turn, and the first of each not counted."""
    known = catalogue.read(owner)
    letters = Name("public", "letters")
    # In the table of people the scan would find them.
    searched = replace(known, relations={letters: known.relations[letters]})
    size = int(one_row(owner, "SELECT pg_table_size('letters') AS bytes")["bytes"])
    batch = [Search(WHO)] + [
        Search((f"maria.novak.{number}@example.org", f"maria.novak.{number}")) for number in range(OTHERS)
    ]

    def scanned() -> None:
        if residue_scan.scan(owner, searched, WHO):
            raise CheckFailed("the scan found somebody who is not there")

    with tempfile.TemporaryDirectory() as directory:
        data_map = map_of(Path(directory), MAP)
    erasure = erasing(owner, data_map, str(WHO[0]))

    def foreseen() -> None:
        if foresee(owner, data_map, known, erasure, preview=True).uncovered:
            raise CheckFailed("the search before an erasure found somebody whom the map covers")

    works: dict[str, Callable[[], object]] = {
        PLAIN: partial(plain, owner, "ILIKE"),
        "plain search (LIKE)": partial(plain, owner, "LIKE"),
        "residue scan": scanned,
        PREFLIGHT: foreseen,
        f"residue scan for {len(batch)} subjects": partial(residue_scan.scan_each, owner, searched, batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(REPETITIONS + 1):
        for name, work in works.items():
            seconds[name].append(timed(work))
    report = Report(f"Residue scan of {rows} rows", base=PLAIN)
    report.timings = [Timing(name, tuple(found[1:]), size) for name, found in seconds.items()]
    scan, one = report.timing("residue scan"), report.timing(PLAIN)
    report.targets = [Target("rate of the scan", one.median / scan.median, 0.6, at_least=True)]
    by_case = report.timing("plain search (LIKE)").median / scan.median
    before = report.timing(PREFLIGHT).median / scan.median
    report.notes = [
        f"beside a search that takes the case as it is: {by_case:.2f} of its rate",
        f"the search before an erasure takes {before:.2f} times the scan",
    ]
    return report


def plain(owner: Connection, operator: str) -> None:
    tests = " OR ".join(f"CAST({column} AS text) {operator} '%zzqzz%'" for column in COLUMNS)
    owner.execute(f"SELECT count(*) FROM letters WHERE {tests}")
