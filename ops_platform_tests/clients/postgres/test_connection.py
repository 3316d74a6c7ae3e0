"""Sessions of PostgreSQL: in UTC, whoever connects and however."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services
ELSEWHERE = "America/St_Johns"


@pytest.fixture
def elsewhere(ops_database: OpsDatabase) -> Iterator[str]:
    """The URL of a role whose sessions begin in a zone of its own, half an hour off."""
    with ops_database.superuser() as superuser:
        superuser.execute(f"ALTER ROLE ops_worker SET TimeZone = '{ELSEWHERE}'")
    yield ops_database.url("ops_worker")
    with ops_database.superuser() as superuser:
        superuser.execute("ALTER ROLE ops_worker RESET TimeZone")


def zone_and_memory(connection: postgres.Connection) -> tuple[str, str]:
    row = connection.execute(
        "SELECT current_setting('TimeZone') AS zone, current_setting('work_mem') AS memory"
    ).fetchall()[0]
    return row["zone"], row["memory"]


@pytest.mark.parametrize("autocommit", [False, True])
def test_a_session_is_in_utc_and_keeps_the_options_of_its_url(elsewhere: str, autocommit: bool) -> None:
    options = "options=-c%20work_mem%3D7MB%20-c%20TimeZone%3DAsia/Tokyo"
    url = f"{elsewhere}{'&' if '?' in elsewhere else '?'}{options}"
    for one, memory in ((elsewhere, None), (url, "7MB")):
        with postgres.session(one, autocommit=autocommit) as connection:
            zone, found = zone_and_memory(connection)
            assert zone == "UTC"
            assert memory in (None, found)
            # Also after what would undo a SET of a transaction.
            connection.rollback()
            assert zone_and_memory(connection)[0] == "UTC"


def test_the_zone_of_the_environment_counts_no_more(elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTZ", ELSEWHERE)
    with postgres.session(elsewhere) as connection:
        assert zone_and_memory(connection)[0] == "UTC"


@pytest.mark.services
def test_the_one_row(ops_database: OpsDatabase) -> None:
    with postgres.session(ops_database.url()) as connection:
        assert postgres.one_row(connection, "SELECT %s::int AS n", (3,)) == {"n": 3}
        for query in ("SELECT 1 AS n WHERE false", "SELECT generate_series(1, 2) AS n"):
            with pytest.raises(AssertionError, match=r"a statement of one row had [02]"):
                postgres.one_row(connection, query)
