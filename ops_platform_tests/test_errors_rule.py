"""The rule of ``errors_rule`` has teeth, and bites nobody else."""

from __future__ import annotations

import pytest

from ops_platform_tests import errors_rule

_CAUGHT = """
import logging, sys
import psycopg, httpx, redis, smtplib
from botocore import exceptions as boto
from psycopg import errors as pg
from ops_platform.clients.safe_errors import Note, describe
from ops_platform.errors import OpsError, Unavailable
log = logging.getLogger(__name__)
def work(): ...
try:
    work()
except {kinds} as error:
    {use}
"""
_FOREIGN = [
    "psycopg.Error", "psycopg.OperationalError", "pg.UniqueViolation", "boto.ClientError", "redis.RedisError",
    "smtplib.SMTPException", "httpx.HTTPError", "Exception", "BaseException", "OSError",
    "(OpsError, psycopg.Error)", "(ValueError, httpx.InvalidURL)",
]  # fmt: skip
_USES = [
    "text = str(error)",
    'text = f"it failed: {error}"',
    'text = f"it failed: {error!r}"',
    "text = repr(error)",
    "print(error, file=sys.stderr)",
    'log.warning("it failed: %s", error)',
    'text = "it failed: %s" % error',
    'text = "it failed: {}".format(error)',
    "text = error.args[0]",
    'raise Unavailable(f"{error}: look") from None',
    'text = f"{error if True else 1}"',
]


@pytest.mark.parametrize("kinds", _FOREIGN)
@pytest.mark.parametrize("use", _USES)
def test_a_foreign_error_made_a_text_is_found(kinds: str, use: str) -> None:
    assert errors_rule.findings(_CAUGHT.format(kinds=kinds, use=use))


@pytest.mark.parametrize("kinds", _FOREIGN)
@pytest.mark.parametrize(
    "use",
    [
        "text = describe(error)",
        'text = f"it failed: {describe(error)}"',
        'log.warning("it failed: %s", describe(error))',
        "text = type(error).__name__",
        "error.add_note(Note('ours'))",
        "raise",
    ],
)
def test_what_goes_through_safe_errors_is_not(kinds: str, use: str) -> None:
    assert errors_rule.findings(_CAUGHT.format(kinds=kinds, use=use)) == []


@pytest.mark.parametrize("kinds", ["OpsError", "Unavailable", "(OpsError, Unavailable)", "ValueError"])
@pytest.mark.parametrize("use", _USES)
def test_our_own_errors_say_what_we_wrote(kinds: str, use: str) -> None:
    assert errors_rule.findings(_CAUGHT.format(kinds=kinds, use=use)) == []


@pytest.mark.parametrize(
    "source",
    [
        "text = error.diag.message_primary",
        "import traceback",
        "from traceback import format_exc",
        "log.exception('failed')",
        "log.error('failed', exc_info=True)",
        "import sys\nsys.exc_info()",
        "logging.basicConfig(level=1)",
        "error.add_note(f'{other}')",
        "import psycopg\ndef words(error: psycopg.Error) -> str:\n    return str(error)",
        "def words(error: Exception) -> str:\n    return f'{error}'",
        "def words(error: 'x', *, cause: OSError | None) -> str:\n    return str(cause)",
        "def f():\n    import redis\n    try: ...\n    except redis.RedisError as e: print(e)",
    ],
)
def test_other_ways_out_are_found(source: str) -> None:
    assert errors_rule.findings(source)


_FACE = """
import dagster as dg
from ops_platform.defs.failures import reported_failures
{helper}
@dg.op(description="")
{decorator}
def face(context, platform):
    {body}
"""


@pytest.mark.parametrize(
    ("helper", "decorator", "body", "found"),
    [
        ("", "", "work()", ["face"]),
        ("", "", "with reported_failures():\n        work()", []),
        ("", "@reported_failures()", "work()", []),
        (
            "def _step():\n    with reported_failures():\n        yield",
            "",
            "with _step():\n        work()",
            [],
        ),
        ("def _step():\n    yield", "", "with _step():\n        work()", ["face"]),
    ],
)
def test_a_face_without_reported_failures_is_found(
    helper: str, decorator: str, body: str, found: list[str]
) -> None:
    assert (
        errors_rule.without_reported_failures(_FACE.format(helper=helper, decorator=decorator, body=body))
        == found
    )


def test_an_asset_that_is_made_by_a_call_is_seen() -> None:
    source = "import dagster as dg\ndef face(context, platform):\n    work()\nmade = dg.asset(name='x')(face)"
    assert errors_rule.without_reported_failures(source) == ["face"]
