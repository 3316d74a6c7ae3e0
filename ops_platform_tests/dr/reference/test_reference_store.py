"""References survive being kept, and nothing of them can be changed unnoticed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ops_platform.audit import keys
from ops_platform.audit.keys import PublicKeys, SigningKey
from ops_platform.backup.wal import History
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.dr.inspection import schema_comparison as catalogue
from ops_platform.dr.inspection.row_fingerprints import ClosedRows, LiveTable
from ops_platform.dr.reference import reference_store as reference
from ops_platform.dr.reference.reference_store import Reference, SignedReference
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.settings import load_settings
from ops_platform_tests.services import OpsDatabase

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PRIVATE, PUBLIC = keys.generate()
KEY, KEYS = SigningKey(PRIVATE), PublicKeys.parse(PUBLIC)

ONE = Reference(
    stanza="product",
    database="product",
    taken_at=NOON,
    marker=NOON - timedelta(minutes=2),
    lineage="7/00000001",
    roles={"someone": "a"},
    extensions={"plpgsql": "1.0"},
    statistics="epoch",
    live={"public.a": LiveTable(3, 5, 2, 16384, 16385), "public.b": LiveTable(None, 5, 2, 1, 1)},
    unread=("public.secret",),
    closed={
        "public.a": ClosedRows(
            "at", 3, -(2**70), 2**70, (("at", "timestamp with time zone"), ("n", "integer"))
        )
    },
    behind=("sequence public.s",),
    invalid=("index i of public.a",),
    unvalidated=("constraint c of public.a",),
    others=("postgres",),
    not_entered=("away",),
    objects={"table public.a": "x", "postgres: table public.b": "y"},
)


def opened(signed: SignedReference, stanza: str = "product", taken_at: datetime | None = None) -> Reference:
    return reference.open_signed(signed, KEYS, stanza, lambda digest: ONE.objects, taken_at)


def resigned(change: Callable[[dict[str, object]], object]) -> SignedReference:
    """With another document, signed by who may."""
    signed = reference.sign(ONE, KEY)
    document = json.loads(signed.document)
    change(document)
    text = json.dumps(document)
    return SignedReference(text, KEY.key_id, base64.b64encode(KEY.sign(text.encode())).decode())


def test_what_is_signed_is_opened_again() -> None:
    assert opened(reference.sign(ONE, KEY), taken_at=NOON) == ONE


def test_names_of_other_databases() -> None:
    assert ONE.qualified_name("product", "x") == "x"
    assert ONE.qualified_name("postgres", "x") == "postgres: x"
    assert ONE.qualified_name("away", "x") is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: replace(one, document=one.document.replace('"rows":3', '"rows":4')), "not signed"),
        (lambda one: replace(one, document=one.document + " "), "not signed"),
        (lambda one: replace(one, key_id="0" * 16), "not signed"),
        (lambda one: replace(one, signature="no base64"), "not signed"),
        (lambda one: replace(one, signature="ä"), "not signed"),
        (lambda one: replace(one, signature=""), "not signed"),
        (lambda one: reference.sign(ONE, SigningKey(keys.generate()[0])), "not signed"),
        (lambda one: reference.sign(replace(ONE, stanza="ops"), KEY), "of stanza ops"),
        (lambda one: reference.sign(replace(ONE, taken_at=NOON + timedelta(days=1)), KEY), "another time"),
        (lambda one: resigned(lambda document: document.update(format=0)), "another version"),
        (lambda one: resigned(lambda document: document.pop("format")), "another version"),
        (lambda one: resigned(lambda document: document.update(catalogue="0")), "missing or was changed"),
    ],
)
def test_what_was_changed_is_refused(change: Callable[[SignedReference], SignedReference], says: str) -> None:
    with pytest.raises(CheckFailed, match=says):
        opened(change(reference.sign(ONE, KEY)), taken_at=NOON)


def test_a_changed_catalogue_is_refused() -> None:
    signed = reference.sign(ONE, KEY)
    for objects in ({**ONE.objects, "table public.a": "z"}, {}, None):
        with pytest.raises(CheckFailed, match="catalogue"):
            reference.open_signed(signed, KEYS, "product", lambda digest, given=objects: given)  # type: ignore[misc]


def test_the_digest_does_not_depend_on_the_order() -> None:
    assert catalogue.digest({"a": "1", "b": "2"}) == catalogue.digest({"b": "2", "a": "1"})
    assert catalogue.digest({"a": "1"}) != catalogue.digest({"a": "2"})


def test_missing_keys_are_named() -> None:
    settings = load_settings({"OPS_STATE_DIR": "/nonexistent"})
    with pytest.raises(ConfigurationError, match="OPS_DR_SIGNING_KEY"):
        reference.signing_key(settings)
    with pytest.raises(ConfigurationError, match="OPS_DR_PUBLIC_KEY"):
        reference.public_keys(settings)


# --- kept in the ops database ----------------------------------------------------------------------------


@pytest.fixture
def ops(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.connect(ops_database.url("ops_worker")) as connection:
        yield connection


def at(minutes: int, **changes: object) -> Reference:
    moment = NOON + timedelta(minutes=minutes)
    return replace(ONE, taken_at=moment, marker=moment - timedelta(minutes=2), **changes)  # type: ignore[arg-type]


@pytest.mark.services
def test_the_nearest_before_and_after_a_moment(ops: Connection) -> None:
    for minutes in (0, 60, 120):
        reference.store(ops, at(minutes), KEY)
        reference.store(ops, at(minutes), KEY)
    reference.store(ops, at(70, stanza="ops"), KEY)

    def around(minutes: float) -> tuple[Reference | None, Reference | None]:
        moment = NOON + timedelta(minutes=minutes)
        return (
            reference.before(ops, KEYS, "product", moment),
            reference.after(ops, KEYS, "product", moment),
        )

    assert around(-1) == (None, at(0))
    assert around(0) == (at(0), at(60))
    assert around(75) == (at(60), at(120))
    assert around(120) == (at(120), None)
    count = ops.execute("SELECT count(*) AS n FROM dr_catalogues").fetchone()
    assert count == {"n": 1}


@pytest.mark.services
def test_a_row_filed_under_another_time_or_stanza_is_refused(ops: Connection) -> None:
    reference.store(ops, at(0), KEY)
    ops.execute(
        "INSERT INTO dr_references SELECT stanza, taken_at + interval '1 hour', marker, document, key_id, "
        "signature FROM dr_references"
    )
    with pytest.raises(CheckFailed, match="another time"):
        reference.before(ops, KEYS, "product", NOON + timedelta(hours=2))
    ops.execute(
        "INSERT INTO dr_references "
        "SELECT 'ops', taken_at, marker, document, key_id, signature FROM dr_references"
    )
    with pytest.raises(CheckFailed, match="of stanza product"):
        reference.after(ops, KEYS, "ops", NOON - timedelta(hours=2))


@pytest.mark.services
def test_references_are_not_updated_and_old_ones_are_pruned(ops: Connection) -> None:
    reference.store(ops, at(0), KEY)
    reference.store(ops, at(60, objects={"table public.z": "1"}), KEY)
    ops.commit()
    with pytest.raises(psycopg.Error, match="permission denied"):
        ops.execute("UPDATE dr_references SET document = ''")
    ops.rollback()
    assert reference.prune(ops, "product", NOON) == 0
    assert reference.prune(ops, "other", NOON + timedelta(minutes=1)) == 0
    assert reference.prune(ops, "product", NOON + timedelta(minutes=1)) == 1
    rows = ops.execute("SELECT objects FROM dr_catalogues").fetchall()
    assert rows == [{"objects": {"table public.z": "1"}}]


def test_a_reference_of_what_was_left_behind_tells_nothing_of_a_restore() -> None:
    """Timeline 2 left timeline 1 at 13:00; the reference of 12:00 is of both, that of 14:00 is not."""
    lost = NOON + timedelta(hours=1)
    dated, undated = History(2, ((1, 1000),), {1: lost}), History(2, ((1, 1000),))
    later, new = replace(ONE, taken_at=NOON + timedelta(hours=2)), replace(ONE, lineage="7/00000002")

    def nobody(timeline: int, lsn: int) -> datetime | None:
        return None

    def beat(timeline: int, lsn: int) -> datetime | None:
        return NOON + timedelta(minutes=30) if (timeline, lsn) == (1, 1000) else None

    assert ONE.lies_on(History(1), nobody)
    assert new.lies_on(dated, nobody)
    assert ONE.lies_on(dated, nobody)
    assert not later.lies_on(dated, nobody)
    assert not ONE.lies_on(undated, nobody)
    assert ONE.lies_on(undated, beat)
    assert not later.lies_on(undated, beat)
    assert not new.lies_on(History(3, ((1, 1000),)), nobody)
