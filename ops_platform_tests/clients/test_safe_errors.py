"""What an error of anybody may say: never a value, always what it is about."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Callable

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import errors as pg

from ops_platform.clients import safe_errors
from ops_platform.clients.json_http import JsonService
from ops_platform.clients.pgbackrest.exit_codes import first_line
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.safe_errors import Note, describe, frames
from ops_platform.clients.safe_errors.process import Formatter
from ops_platform.errors import OpsError, Unavailable
from ops_platform_tests.clients.bad_errors import ADDRESS, CASES, SECRET, bad_uuid, database_error

HARMLESS = st.text(st.characters(categories=("Lu", "Ll", "Nd")), min_size=8, max_size=40)


def assert_silent(text: str) -> None:
    for word in (ADDRESS, "anna", SECRET, "hunter2"):
        assert word not in text


@pytest.mark.parametrize("name", CASES)
def test_bad_errors_say_what_they_are_and_quote_nothing(name: str) -> None:
    make, words = CASES[name]
    error = make()
    line = describe(error)
    for said in (line, safe_errors.why(error), safe_errors.code(error) if "Redis" in name else ""):
        assert_silent(said)
        assert said.isprintable()
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("name", CASES)
def test_advice_quotes_nothing(name: str) -> None:
    advice = safe_errors.database_advice(CASES[name][0]())
    assert_silent(advice or "")


@pytest.mark.parametrize(
    ("error", "words", "silent"),
    [
        (
            database_error(pg.QueryCanceled, "canceling statement due to statement timeout"),
            ("due to statement timeout", "ALTER ROLE ... SET statement_timeout"),
            ("see that it runs",),
        ),
        (
            database_error(pg.InsufficientPrivilege, "permission denied for table people"),
            ("permission denied for table people", "42501"),
            (),
        ),
        (
            database_error(pg.LockNotAvailable, "canceling statement due to lock timeout"),
            ("due to lock timeout", "another session holds the lock"),
            ("see that it runs",),
        ),
        (
            database_error(pg.DiskFull, "could not extend file: No space left on device"),
            ("No space left", "give the server what it lacks"),
            ("see that it runs",),
        ),
        (
            database_error(pg.UndefinedTable, 'relation "people" does not exist', statement_position="15"),
            ('relation "people" does not exist', "where that is the platform's own"),
            (),
        ),
    ],
)
def test_advice_names_the_reason_and_can_help(
    error: psycopg.Error, words: tuple[str, ...], silent: tuple[str, ...]
) -> None:
    advice = safe_errors.database_advice(error) or ""
    assert [word for word in words if word not in advice] == []
    assert [word for word in silent if word in advice] == []
    assert "\n" not in advice


@pytest.mark.parametrize("name", CASES)
def test_frames_quote_nothing_either(name: str) -> None:
    """The frames of the raising test itself show code, of which none holds a value."""
    make, words = CASES[name]
    try:
        try:
            raise make()
        except Exception as error:
            raise RuntimeError(f"nobody is {ADDRESS}") from error
    except RuntimeError as outer:
        text = frames(outer)
    assert_silent(text)
    assert text.count("Traceback (most recent call last):") >= 2
    assert "test_frames_quote_nothing_either" in text
    assert "direct cause" in text
    assert [word for word in words if word not in text] == []


@given(
    kind=st.sampled_from(
        [
            pg.DataError,
            pg.InvalidTextRepresentation,
            pg.UniqueViolation,
            pg.CheckViolation,
            pg.RaiseException,
            pg.ExternalRoutineException,
            pg.FdwError,
        ]
    ),
    value=HARMLESS.map(lambda text: f"q{text}q"),
    fields=st.sets(
        st.sampled_from(["message_detail", "message_hint", "context", "internal_query", "source_file"])
    ),
)
def test_no_value_of_a_row_whatever_it_looks_like(
    kind: type[psycopg.Error], value: str, fields: set[str]
) -> None:
    error = database_error(kind, f"bad: {value}", **dict.fromkeys(fields, f"{value} is here"))
    assert value not in describe(error)
    assert kind.__name__ in describe(error)


@given(secret=HARMLESS.map(lambda text: f"q{text}q"), port=st.integers(1, 65535))
def test_no_secret_of_a_url_whatever_it_looks_like(secret: str, port: int) -> None:
    shown = safe_errors.address(f"https://me:{secret}@host.example:{port}/graphs?token={secret}")
    assert shown == f"https://host.example:{port}/graphs"


@pytest.mark.parametrize("url", [f"http://me:{SECRET}/x@host/", f"http://me:{SECRET}", "", f"//{SECRET}@"])
def test_a_url_that_cannot_be_read_is_not_shown(url: str) -> None:
    assert safe_errors.address(url) == "an address that cannot be read"


def test_our_own_errors_say_what_we_wrote() -> None:
    assert describe(Unavailable("S3 is away:\n start it")) == "S3 is away: start it"
    assert describe(OpsError()) == "OpsError"


def test_a_suppressed_context_stays_away_and_a_circle_ends() -> None:
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    assert frames(first).count("Traceback") == 2

    def away() -> None:
        try:
            raise bad_uuid()
        except psycopg.Error:
            raise Unavailable("it is away") from None

    with pytest.raises(Unavailable) as raised:
        away()
    assert "22P02" not in frames(raised.value)


def test_notes_of_ours_are_shown_and_of_nobody_else() -> None:
    error = RuntimeError("x")
    error.add_note(Note("its outcome is not in the ledger"))
    error.add_note(f"while reading {ADDRESS}")
    assert frames(error).endswith("its outcome is not in the ledger")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("pg_dump: error: connection to database failed", "pg_dump: error: connection to database failed"),
        (
            f'pg_dump: error: query failed: ERROR:  invalid input syntax for type uuid: "{ADDRESS}"\nmore',
            "pg_dump: error: query failed: ERROR: see its log, the words may quote rows",
        ),
        (
            "pg_dump: error: query failed: ERROR:  permission denied for table people",
            "pg_dump: error: query failed: ERROR: permission denied for table people",
        ),
        (
            "pg_dump: error: Dumping failed: ERROR:  invalid page in block 3 of relation base/5/16400",
            "pg_dump: error: Dumping failed: ERROR: invalid page in block 3 of relation base/5/16400",
        ),
        (f"psql: error: connection to postgresql://me:{SECRET}@db/x failed", None),
        (f"pg_restore: error: COPY failed, CONTEXT:  COPY people, line 1, column email: {ADDRESS}", None),
        ("", "it said nothing"),
    ],
)
def test_the_line_of_a_program(said: str, shown: str | None) -> None:
    line = safe_errors.program_first_line(said)
    assert_silent(line)
    if shown is not None:
        assert line == shown


@pytest.mark.parametrize(
    "log",
    [
        lambda log: log.warning("error connecting in %r: %s", "pool-1", bad_uuid()),
        lambda log: log.warning("lost %(why)s", {"why": bad_uuid()}),
        lambda log: log.error(bad_uuid()),
        lambda log: log.error("failed", exc_info=bad_uuid()),
        lambda log: log.getChild("x").exception("failed") if sys.exc_info()[0] else log_it(log),
    ],
)
def test_what_libraries_log(log: Callable[[logging.Logger], None]) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("library")
    logger.addHandler(handler)
    log(logger)
    assert_silent(stream.getvalue())
    assert "22P02" in stream.getvalue()


def log_it(log: logging.Logger) -> None:
    try:
        raise bad_uuid()
    except psycopg.Error:
        log.exception("failed")


_PROGRAM = """
import asyncio, gc, logging, threading, warnings
from ops_platform.clients import safe_errors
from ops_platform_tests.clients.bad_errors import ADDRESS, bad_uuid
safe_errors.guard({level})
def fail():
    raise bad_uuid()
class Dies:
    def __del__(self):
        raise bad_uuid()
async def forgotten():
    asyncio.create_task(later())
    await asyncio.sleep(0.01)
async def later():
    raise bad_uuid()
thread = threading.Thread(target=fail, name="worker"); thread.start(); thread.join()
Dies()
asyncio.run(forgotten()); gc.collect()
warnings.warn(f"unexpected value {{ADDRESS}}")
logging.getLogger("library").warning("lost: %s", bad_uuid())
try:
    fail()
except Exception:
    logging.getLogger("library").exception("failed")
fail()
"""


@pytest.mark.processes
@pytest.mark.parametrize("level", [None, logging.INFO])
def test_what_a_process_says_by_itself(level: int | None) -> None:
    """In threads, in finalisers, in forgotten tasks, as warnings, at its end."""
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(level=level)], capture_output=True, text=True, check=False
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert_silent(said)
    for word in (
        "Exception in thread worker",
        "Exception ignored in",
        "Task exception",
        "UserWarning",
        "lost: Post",
    ):
        assert word in said, said
    assert said.count("22P02") >= 5


@pytest.mark.parametrize(
    ("url", "words"),
    [
        # Everything that people forget to escape in a password.
        (f"postgresql://me:p@{SECRET}@127.0.0.1:1/shop", ("an address that cannot be read",)),
        (f"postgresql://me:{SECRET}/x@127.0.0.1:1/shop", ("an address that cannot be read",)),
        (f"host=127.0.0.1 port={SECRET} dbname=shop", ('connection option "port"',)),
        (f"postgresql://me@127.0.0.1:1/shop?sslmode={SECRET}", ("127.0.0.1:1/shop", "invalid sslmode value")),
        (f"postgresql://me@127.0.0.1:1/shop?{SECRET}=1", ("malformed",)),
        (f"host=127.0.0.1 {SECRET}", ("malformed",)),
        (f"postgresql://me:{SECRET}@127.0.0.1:1/shop", ("127.0.0.1:1/shop", "Connection refused")),
        (f"host=/nowhere password={SECRET} dbname=shop", ("/nowhere:5432/shop", "No such file or directory")),
    ],
)
def test_connecting_says_where_and_why_and_no_password(url: str, words: tuple[str, ...]) -> None:
    with pytest.raises(Unavailable) as raised:
        postgres.connect(url)
    assert_silent(str(raised.value))
    assert [word for word in words if word not in str(raised.value)] == []


def test_a_service_is_named_without_its_password() -> None:
    with (
        JsonService("Prometheus", f"http://me:{SECRET}@127.0.0.1:1/graphs") as service,
        pytest.raises(Unavailable) as raised,
    ):
        service.get(f"/api?token={SECRET}")
    assert_silent(str(raised.value))
    for word in ("Prometheus", "http://127.0.0.1:1/graphs", "Connection refused"):
        assert word in str(raised.value)


def test_what_pgbackrest_says_keeps_its_point_and_loses_secrets() -> None:
    said = f"P00  ERROR: [032]: unable to use https://me:{SECRET}@s3.example/x --repo1-s3-key-secret={SECRET}"
    line = first_line(said)
    assert_silent(line)
    assert line.startswith("unable to use https://s3.example/x")
