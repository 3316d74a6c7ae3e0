"""What analysts read: views, frames, files, the documents' own examples; and what their role cannot reach."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from ops_platform import analysis
from ops_platform.cli import cli
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting import exclusions
from ops_platform.slo.counting.exclusions import Exclusion
from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.objectives import Indicator, Objective, Period, Selector
from ops_platform.slo.reporting import derivation, slo_store
from ops_platform_tests.services import OpsDatabase, OpsDatabases

pytestmark = pytest.mark.services

DOCS = Path(__file__).parents[2] / "docs"
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
HOURS = 30
ONE = Objective(
    "shop", "checkout", "Checkout", "d", Fraction(99, 100),
    Indicator(Selector.parse("orders_total"), bad=Selector.parse('orders_total{code="500"}')),
    Period("rolling", 30),
)  # fmt: skip
BOUNDED, MISSING, LEFT_OUT = 5, 6, 7
"""The hours before END that are not known, and one with maintenance."""


def window(number: int) -> WindowCount:
    start = END - timedelta(hours=number)
    known = WindowCount(start, 3600, 990, 1000, None, f"{number}", 240, 240, 0, 990, 1000)
    unknown = WindowCount(start, 3600, None, None, "a cannot be scraped", f"{number}", 240, 200, 0)
    if number == BOUNDED:
        between = Bounds(900, 950, 10, 40)
        return replace(unknown, bounds=between, adjusted_bounds=between)
    if number == MISSING:
        return unknown
    return replace(known, adjusted_good=980, adjusted_total=985) if number == LEFT_OUT else known


@pytest.fixture(scope="module")
def database(ops_databases: OpsDatabases) -> Iterator[OpsDatabase]:
    """Thirty hours of one objective, and what is derived from them."""
    found = ops_databases.create()
    with postgres.session(found.url("ops_worker")) as ops:
        start = END - timedelta(hours=LEFT_OUT)
        left_out = Exclusion("shop", None, start, start + timedelta(minutes=6))
        exclusions.add(ops, left_out, "announced upgrade", "somebody-by-name")
        slo_store.lock_writers(ops)
        slo_store.register(ops, [ONE])
        windows = [window(number) for number in range(HOURS, 0, -1)]
        slo_store.store(ops, ONE, windows, "run-1", datetime.now(UTC), [left_out])
        derivation.derive(ops, ONE, "run-1")
        derivation.make_figures(ops, ONE, [END], "run-1")
    yield found
    ops_databases.drop(found)


@pytest.fixture
def url(database: OpsDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    found = database.url("ops_analyst")
    monkeypatch.setenv("OPS_ANALYST_DATABASE_URL", found)
    return found


def test_frames_have_types_and_the_numbers_of_the_store(url: str) -> None:
    hours = analysis.counts(service="shop", slo="checkout", url=url)
    assert len(hours) == HOURS
    assert (str(hours["bad"].dtype), str(hours["hour"].dtype)) == ("Int64", "datetime64[us, UTC]")
    assert hours["hour"].is_monotonic_increasing
    states = hours["state"].value_counts().to_dict()
    assert states == {"ok": HOURS - 2, "bounded": 1, "source_missing": 1}
    assert int(hours["bad"].sum()) == 10 * (HOURS - 2)
    assert int(hours["bad"].isna().sum()) == 2

    between = analysis.bounds(since=END - timedelta(hours=BOUNDED), until=END - timedelta(hours=BOUNDED - 1))
    assert between[["bad_least", "bad_most"]].to_numpy().tolist() == [[10, 40]]
    assert analysis.bounds()["bad_most"].isna().sum() == 1

    [left_out] = analysis.counts(
        since=END - timedelta(hours=LEFT_OUT), until=END - timedelta(hours=6)
    ).itertuples()
    assert (left_out.bad, left_out.adjusted_bad, left_out.excluded_seconds) == (10, 5, 360.0)
    assert int(analysis.ledger()["debit"].sum()) == 10 * (HOURS - 3) + 5
    figures = analysis.figures(period="30d")
    assert set(figures["verdict"]) == {"undecided"}
    [excluded] = analysis.exclusions(service="shop", slo="checkout").itertuples()
    assert excluded.reason == "announced upgrade"
    objective: Any = next(analysis.objectives().itertuples())
    assert objective.definition["total"] == "orders_total"
    nothing = analysis.counts(service="nobody")
    assert len(nothing) == 0
    assert str(nothing["bad"].dtype) == "Int64"


def test_a_time_without_a_zone_and_a_database_without_views_are_refused(
    url: str, database: OpsDatabase
) -> None:
    with pytest.raises(ConfigurationError, match="has no time zone"):
        analysis.counts(since=datetime(2026, 1, 1))
    with pytest.raises(Unavailable, match="may not read the views"):
        analysis.counts(url=database.url("ops_api"))
    with pytest.raises(Unavailable, match=r"ops-platform migrate|cannot connect"):
        analysis.counts(url=database.cluster.url("ops_owner", "postgres"))


def test_the_role_reads_the_views_and_nothing_else(url: str, database: OpsDatabase) -> None:
    with database.cluster.superuser(database.name) as superuser:
        readable = superuser.execute(
            """
            SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
              AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
              AND (has_table_privilege('ops_analyst', c.oid,
                                       'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                   OR has_any_column_privilege('ops_analyst', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
            """
        ).fetchall()
        writable = superuser.execute(
            """
            SELECT c.oid::regclass::text FROM pg_class AS c
            WHERE c.relnamespace = 'analysis'::regnamespace
              AND has_table_privilege('ops_analyst', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
            """
        ).fetchall()
        callable_ = superuser.execute(
            """
            SELECT p.oid::regprocedure::text FROM pg_proc AS p
            WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
              AND has_function_privilege('ops_analyst', p.oid, 'EXECUTE') AND p.prosecdef
            """
        ).fetchall()
        roles = superuser.execute(
            "SELECT count(*) FROM pg_auth_members WHERE member = 'ops_analyst'::regrole"
        ).fetchone()
        uncommented = superuser.execute(
            """
            SELECT a.attrelid::regclass::text, a.attname FROM pg_attribute AS a
            JOIN pg_class AS c ON c.oid = a.attrelid AND c.relnamespace = 'analysis'::regnamespace
            WHERE a.attnum > 0 AND (col_description(a.attrelid, a.attnum) IS NULL
                                    OR obj_description(c.oid, 'pg_class') IS NULL)
            """
        ).fetchall()
    assert {name for (name,) in readable} == {f"analysis.{view}" for view in analysis.VIEWS}
    assert (writable, callable_, roles, uncommented) == ([], [], (0,), [])
    with psycopg.connect(url) as connection:
        for statement in ("SELECT * FROM public.gdpr_requests", "SELECT * FROM public.slo_exclusions"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TEMPORARY TABLE mine (id int)")
        connection.rollback()
        said = str(connection.execute("SELECT * FROM analysis.exclusions").fetchall())
    assert "somebody-by-name" not in said


def test_the_documents_statements_answer(url: str) -> None:
    text = (DOCS / "analysis.md").read_text(encoding="utf-8")
    statements = re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)
    assert len(statements) >= 6
    with psycopg.connect(url) as connection:
        answers = [connection.execute(statement).fetchall() for statement in statements]
    # The last asks for what was entered before this week.
    assert all(answers[:-1])
    assert [row[3] for row in answers[1]][:1] == [40]
    assert [row[3:6] for row in answers[2]] == [(10, 5, 360.0)]


def test_the_notebook_runs(url: str) -> None:
    cells = json.loads((DOCS / "analysis.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]), names)  # noqa: S102
    assert names["newest"]["verdict"].tolist() == ["undecided"]
    assert names["worst"]["adjusted_bad_most"].tolist()[0] == 40
    assert names["left_out"]["adjusted_bad"].tolist() == [5]
    assert names["certain"]["worst_percent"].tolist()[0] < names["certain"]["best_percent"].tolist()[0]


def test_files(url: str, tmp_path: Path) -> None:
    def export(*arguments: str) -> Any:
        return CliRunner().invoke(
            cli,
            ["slo", "export", *arguments],
            env={"OPS_ANALYST_DATABASE_URL": url, "OPS_STATE_DIR": str(tmp_path)},
        )

    as_csv = list(csv.DictReader(io.StringIO(export("--service", "shop").stdout)))
    assert len(as_csv) == HOURS
    assert [row["total"] for row in as_csv if row["state"] == "source_missing"] == [""]
    as_json = json.loads(export("--format", "json").stdout)
    assert sum(row["bad"] or 0 for row in as_json) == 10 * (HOURS - 2)
    assert datetime.fromisoformat(as_json[0]["hour"]) == END - timedelta(hours=HOURS)
    assert json.loads(export("--format", "json", "--service", "nobody").stdout) == []
    path = tmp_path / "figures"
    done = export("--what", "figures", "--out", str(path))
    assert done.exit_code == 0, done.output
    assert len(path.read_text().splitlines()) > 5
    assert isinstance(export("--out", "/no/such/place").exception, ConfigurationError)
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".part"] == []
