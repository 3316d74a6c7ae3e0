"""Seals and keys as texts: round trips, and refusal of everything else."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.audit import keys as audit_keys
from ops_platform.audit.keys import PublicKeys, SigningKey
from ops_platform.audit.seal import MalformedSeal, Seal, SealCopy, number_of, object_key, parse, sign
from ops_platform.errors import ConfigurationError

PRIVATE, PUBLIC = audit_keys.generate()
KEY = SigningKey(PRIVATE)

SEALS = st.builds(
    Seal,
    epoch=st.integers(1, 9),
    number=st.integers(1, 2**40),
    from_xid=st.integers(0, 2**64 - 1),
    to_xid=st.integers(0, 2**64 - 1),
    rows=st.integers(0, 2**40),
    first_id=st.none() | st.integers(1),
    last_id=st.none() | st.integers(1),
    merkle_root=st.binary(min_size=32, max_size=32).map(bytes.hex),
    previous=st.binary(min_size=32, max_size=32).map(bytes.hex),
    sealed_at=st.just("2026-01-02T03:04:05.000006+00:00"),
    retain_until=st.just("2026-03-02T03:04:05.000000+00:00"),
    key_id=st.just(KEY.key_id),
    opens=st.none() | st.integers(2, 9),
    void_from=st.none() | st.integers(1),
)
LEAVES = st.lists(st.tuples(st.integers(1), st.binary(min_size=32, max_size=32)), max_size=5)


@given(SEALS, LEAVES)
def test_a_copy_reads_back_as_it_was_written(seal: Seal, leaves: list[tuple[int, bytes]]) -> None:
    copy = SealCopy(sign(seal, KEY), leaves)
    read = SealCopy.parse(copy.body())
    assert read == copy
    assert read.signed.is_signed_by(PublicKeys.parse(PUBLIC))


@given(SEALS, st.sampled_from([field.name for field in fields(Seal) if field.name != "key_id"]))
def test_no_field_can_change_under_the_signature(seal: Seal, name: str) -> None:
    value: Any = getattr(seal, name)
    changed: Any = 1 if value is None else value + 1 if isinstance(value, int) else value[:-1] + "1"
    signed = sign(seal, KEY)
    forged = replace(seal, **{name: changed})
    if forged == seal:
        return
    altered = replace(signed, seal=forged, document=forged.document())
    assert not altered.is_signed_by(KEY.public_keys())
    assert altered.hash != signed.hash


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        "not json",
        '{"version":"audit_seal/2"}',
        pytest.param(None, id="spaces"),
    ],
)
def test_other_texts_are_refused(document: str | None) -> None:
    signed = sign(_seal(), KEY)
    text = json.dumps(json.loads(signed.document)) if document is None else document
    with pytest.raises(MalformedSeal):
        parse(text, signed.signature_text())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", "1"),
        ("rows", None),
        ("rows", True),
        ("sealed_at", "yesterday"),
        ("sealed_at", "2026-01-01T00:00:00"),
        ("extra", 1),
    ],
)
def test_malformed_fields_are_refused(name: str, value: object) -> None:
    given = {**json.loads(_seal().document()), name: value}
    with pytest.raises(MalformedSeal):
        parse(json.dumps(given, sort_keys=True, separators=(",", ":")), sign(_seal(), KEY).signature_text())


@pytest.mark.parametrize("body", [b"", b"\xff", b"{}\n", b"{}\nAA==\nx y z\n", b"{}\nAA==\n1 zz\n"])
def test_bodies_that_are_no_seal_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedSeal):
        SealCopy.parse(body)


@given(st.integers(1, 10**12 - 1))
def test_object_keys_sort_like_numbers(number: int) -> None:
    assert number_of(object_key(number)) == number
    assert object_key(number) > object_key(number - 1)


@pytest.mark.parametrize(
    "key", ["audit/seals/1", "audit/seals/", "audit/seals/00000000000x", "other/000000000001"]
)
def test_other_keys_are_nobodys(key: str) -> None:
    assert number_of(key) is None


def test_keys_that_are_not_ed25519_are_refused_without_being_quoted() -> None:
    for wrong in ("", "secret-text", PUBLIC):
        with pytest.raises(ConfigurationError) as refused:
            SigningKey(wrong)
        assert "secret-text" not in str(refused.value)
    for wrong in ("", "x", PRIVATE, PUBLIC.replace("M", "A", 1)):
        with pytest.raises(ConfigurationError):
            PublicKeys.parse(wrong)


def test_a_rotated_key_is_known_by_its_id() -> None:
    new_private, new_public = audit_keys.generate()
    both = PublicKeys.parse(PUBLIC + new_public)
    assert sign(replace(_seal(), key_id=KEY.key_id), KEY).is_signed_by(both)
    new = SigningKey(new_private)
    assert sign(replace(_seal(), key_id=new.key_id), new).is_signed_by(both)
    assert not sign(replace(_seal(), key_id=new.key_id), new).is_signed_by(PublicKeys.parse(PUBLIC))
    assert not sign(replace(_seal(), key_id=KEY.key_id), new).is_signed_by(both)


def _seal() -> Seal:
    return Seal(
        epoch=1,
        number=1,
        from_xid=0,
        to_xid=9,
        rows=0,
        first_id=None,
        last_id=None,
        merkle_root="00" * 32,
        previous="0" * 64,
        sealed_at="2026-01-02T03:04:05.000006+00:00",
        retain_until="2026-03-02T03:04:05.000000+00:00",
        key_id=KEY.key_id,
    )
