"""Errors of other people's code, as their libraries make them, with personal data and secrets in them."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pydantic
import redis
import yaml
from botocore import exceptions as boto
from psycopg import errors as pg
from psycopg.pq import DiagnosticField as Field

ADDRESS = "anna@example.org"
SECRET = "hunter2-s3cret"

Make = Callable[[], BaseException]


def database_error(kind: type[psycopg.Error], primary: str, **fields: str) -> psycopg.Error:
    """An error as the server sends it; ``fields`` by the names of libpq, as ``message_detail``."""
    known = {Field.MESSAGE_PRIMARY: primary, Field.SQLSTATE: kind.sqlstate or ""}
    known |= {Field[name.upper()]: value for name, value in fields.items()}
    lines = [
        primary,
        *(f"{name.removeprefix('message_').upper()}:  {value}" for name, value in fields.items()),
    ]
    info: Any = {int(number): value.encode() for number, value in known.items()}
    return kind("\n".join(lines), info=info)


def bad_uuid() -> psycopg.Error:
    """The error of ``SELECT 'anna@example.org'::uuid``."""
    return database_error(
        pg.InvalidTextRepresentation,
        f'invalid input syntax for type uuid: "{ADDRESS}"',
        context=f"unnamed portal parameter $1 = '{ADDRESS}'",
    )


def _raised(act: Callable[[], Any]) -> BaseException:
    try:
        act()
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


class _Person(pydantic.BaseModel):
    age: int
    born: dict[str, int] = {}


def _client_error() -> boto.ClientError:
    # As S3 answers: it names the key, and says less than boto3's types have.
    answer: Any = {
        "Error": {
            "Code": "AccessDenied",
            "Message": f"no access to users/{ADDRESS}/photo.jpg",
            "Key": ADDRESS,
        },
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }
    return boto.ClientError(answer, "GetObject")


def _refused() -> smtplib.SMTPRecipientsRefused:
    return smtplib.SMTPRecipientsRefused({ADDRESS: (550, f"5.1.1 <{ADDRESS}> unknown".encode())})


_URL = f"https://user:{SECRET}@prometheus.example:9090/api?email={ADDRESS}&token={SECRET}"


def _status_error() -> httpx.HTTPStatusError:
    request = httpx.Request("GET", _URL)
    return _raised(lambda: httpx.Response(503, request=request).raise_for_status())  # type: ignore[return-value]


def _chained(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


CASES: dict[str, tuple[Make, tuple[str, ...]]] = {
    # What is bad, and what must still be said.
    "22P02": (bad_uuid, ("InvalidTextRepresentation", "22P02")),
    "22001": (
        lambda: database_error(
            pg.StringDataRightTruncation,
            "value too long",
            context=f'COPY people, line 1, column email: "{ADDRESS}"',
        ),
        ("StringDataRightTruncation", "22001"),
    ),
    "23505": (
        lambda: database_error(
            pg.UniqueViolation,
            'duplicate key value violates unique constraint "people_email"',
            message_detail=f"Key (email)=({ADDRESS}) already exists.",
            schema_name="public",
            table_name="people",
            constraint_name="people_email",
        ),
        ("UniqueViolation", "23505", "public.people", "people_email"),
    ),
    "23502": (
        lambda: database_error(
            pg.NotNullViolation,
            'null value in column "age"',
            table_name="people",
            column_name="age",
            message_detail=f"Failing row contains (1, {ADDRESS}, null).",
        ),
        ("NotNullViolation", "people", "column age"),
    ),
    "23514 of a domain": (
        lambda: database_error(
            pg.CheckViolation,
            f'value "{ADDRESS}" breaks it',
            datatype_name="email",
            constraint_name="email_shape",
        ),
        ("CheckViolation", "type email", "email_shape"),
    ),
    "42P01": (
        lambda: database_error(
            pg.UndefinedTable,
            'relation "people" does not exist',
            statement_position="15",
            internal_query=f"SELECT '{ADDRESS}'",
            message_hint=f"Perhaps {ADDRESS}?",
        ),
        ("UndefinedTable", "42P01", 'relation "people" does not exist'),
    ),
    "42501": (
        lambda: database_error(pg.InsufficientPrivilege, "permission denied for table people"),
        ("InsufficientPrivilege", "permission denied for table people"),
    ),
    "42601": (
        lambda: database_error(pg.SyntaxError, f'unterminated quoted string at or near "\'{ADDRESS}"'),
        ("SyntaxError", "42601", "unterminated quoted string"),
    ),
    "40P01": (
        lambda: database_error(
            pg.DeadlockDetected,
            "deadlock detected",
            message_detail=f"Process 1: UPDATE people SET email='{ADDRESS}'",
        ),
        ("DeadlockDetected", "deadlock detected"),
    ),
    "57014": (
        lambda: database_error(pg.QueryCanceled, "canceling statement due to statement timeout"),
        ("QueryCanceled", "statement timeout"),
    ),
    "P0001": (
        lambda: database_error(
            pg.RaiseException,
            f"{ADDRESS} is on hold",
            context="PL/pgSQL function public.hold(uuid,text) line 12 at RAISE",
        ),
        ("RaiseException", "P0001", "public.hold(uuid,text)", "line 12"),
    ),
    "RAISE with a harmless SQLSTATE": (
        lambda: database_error(
            pg.InsufficientPrivilege,
            f"{SECRET} may not",
            source_function="exec_stmt_raise",
            context="PL/pgSQL function hold(uuid) line 3 at RAISE",
        ),
        ("InsufficientPrivilege", "hold(uuid)"),
    ),
    "XX001": (
        lambda: database_error(pg.DataCorrupted, "invalid page in block 7 of relation base/5/16384"),
        ("DataCorrupted", "block 7 of relation base/5/16384"),
    ),
    "unknown class": (
        lambda: database_error(pg.FdwError, f"remote says {ADDRESS}"),
        ("FdwError", "HV000"),
    ),
    "no answer": (
        lambda: psycopg.OperationalError(
            'connection failed: connection to server at "10.0.0.7", port 5433 failed: Connection refused\n'
            "\tIs the server running on that host and accepting TCP/IP connections?"
        ),
        ("10.0.0.7:5433", "Connection refused"),
    ),
    "wrong password": (
        lambda: psycopg.OperationalError(
            'connection failed: connection to server at "10.0.0.7", port 5433 failed: FATAL:  password '
            'authentication failed for user "ops_worker"'
        ),
        ("10.0.0.7:5433", 'password authentication failed for user "ops_worker"'),
    ),
    "password for a port": (
        lambda: psycopg.OperationalError(
            f'connection is bad: invalid integer value "{SECRET}" for connection option "port"'
        ),
        ("OperationalError", "port"),
    ),
    "password in the host": (
        lambda: psycopg.OperationalError(
            f"failed to resolve host '{SECRET}@db.example': [Errno -2] Name or service not known"
        ),
        ("OperationalError", "Name or service not known"),
    ),
    "unknown host": (
        lambda: psycopg.OperationalError(
            "failed to resolve host 'db.example': [Errno -2] Name or service not known"
        ),
        ("db.example", "Name or service not known"),
    ),
    "FATAL with a value": (
        lambda: psycopg.OperationalError(f'FATAL:  invalid value for parameter "x": "{SECRET}"'),
        ("OperationalError",),
    ),
    "malformed conninfo": (
        lambda: psycopg.ProgrammingError(f'missing "=" after "{SECRET}" in connection info string'),
        ("ProgrammingError",),
    ),
    "lost": (lambda: psycopg.OperationalError("the connection is lost"), ("the connection is lost",)),
    "client side": (
        lambda: psycopg.DataError(f"date too large (after year 10K): '{ADDRESS}'"),
        ("DataError",),
    ),
    "S3": (_client_error, ("S3", "AccessDenied", "403", "GetObject")),
    "S3 away": (
        lambda: boto.EndpointConnectionError(
            endpoint_url=f"https://key:{SECRET}@s3.example:8333/bucket/users/{ADDRESS}"
        ),
        ("EndpointConnectionError", "s3.example:8333"),
    ),
    "S3 parameters": (
        lambda: boto.ParamValidationError(report=f"Invalid type for Key, value: {ADDRESS}"),
        ("ParamValidationError",),
    ),
    "Redis": (
        lambda: redis.ResponseError(f"WRONGTYPE key user:{ADDRESS}"),
        ("Redis", "ResponseError", "WRONGTYPE"),
    ),
    "Redis quotes first": (
        lambda: redis.ResponseError(f"{ADDRESS} is no command"),
        ("Redis", "ResponseError"),
    ),
    "Redis away": (
        lambda: redis.ConnectionError("Error 111 connecting to 10.0.0.7:6379. Connection refused."),
        ("Redis", "10.0.0.7:6379", "Connection refused"),
    ),
    "SMTP recipients": (_refused, ("SMTP", "SMTPRecipientsRefused", "550")),
    "SMTP sender": (
        lambda: smtplib.SMTPSenderRefused(553, f"<{ADDRESS}> no".encode(), ADDRESS),
        ("SMTPSenderRefused", "553"),
    ),
    "SMTP data": (
        lambda: smtplib.SMTPDataError(554, f"spam for {ADDRESS}".encode()),
        ("SMTPDataError", "554"),
    ),
    "HTTP status": (_status_error, ("HTTPStatusError", "503", "prometheus.example:9090")),
    "HTTP away": (
        lambda: httpx.ConnectError(
            f"cannot reach {_URL}: Connection refused", request=httpx.Request("GET", _URL)
        ),
        ("ConnectError", "prometheus.example:9090", "Connection refused"),
    ),
    "HTTP without a request": (lambda: httpx.InvalidURL(f"no URL: {_URL}"), ("InvalidURL",)),
    "pydantic": (
        lambda: _raised(lambda: _Person.model_validate({"age": ADDRESS, "born": {ADDRESS: SECRET}})),
        ("ValidationError", "_Person", "int_parsing"),
    ),
    "JSON": (lambda: _raised(lambda: json.loads(f'{{"email": {ADDRESS}}}')), ("JSONDecodeError", "line 1")),
    "YAML": (
        lambda: _raised(lambda: yaml.safe_load(f"a: 1\nb: *{ADDRESS}\n")),
        ("ComposerError", "line 2"),
    ),
    "UTF-8": (lambda: _raised(lambda: (ADDRESS.encode() + b"\xff").decode()), ("UnicodeDecodeError",)),
    "number": (lambda: _raised(lambda: int(ADDRESS)), ("ValueError",)),
    "key": (lambda: _raised(lambda: dict[str, str]()[ADDRESS]), ("KeyError",)),
    "disk": (
        lambda: OSError(28, "No space left on device", f"/exports/{ADDRESS}.zip"),
        ("OSError", "No space left"),
    ),
    "made up": (lambda: OSError(f"cannot write {ADDRESS}"), ("OSError",)),
    "cause": (lambda: _chained(RuntimeError(f"bad {SECRET}"), bad_uuid()), ("RuntimeError",)),
    "group": (
        lambda: ExceptionGroup(f"of {ADDRESS}", [bad_uuid(), KeyError(ADDRESS)]),
        ("22P02", "KeyError"),
    ),
}


def cases() -> Iterator[tuple[str, BaseException, tuple[str, ...]]]:
    """Name, error and the words that its line must hold."""
    for name, (make, words) in CASES.items():
        yield name, make(), words
