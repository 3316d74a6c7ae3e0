"""Sealed texts: what opens them, and one line for everything that does not."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.tombstones import encryption as sealed
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.settings import GdprSettings, Settings, load_settings
from ops_platform_tests.gdpr.other_stores import sealing_key

OLD, NEW = sealing_key(), sealing_key()


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_sealed_opens_for_its_purpose_only(plain: bytes, purpose: str) -> None:
    keys = SealingKeys.parse(NEW)
    one = keys.seal(plain, purpose)
    assert keys.open(one, purpose) == plain
    assert one != keys.seal(plain, purpose)
    with pytest.raises(CheckFailed, match="or was changed"):
        keys.open(one, purpose + "x")


def test_any_changed_byte_is_noticed() -> None:
    keys = SealingKeys.parse(NEW)
    one = keys.seal(b"who", "tombstone")
    assert b"who" not in one
    for at in range(len(one)):
        changed = bytearray(one)
        changed[at] ^= 1
        with pytest.raises((CheckFailed, ConfigurationError)):
            keys.open(bytes(changed), "tombstone")
    for length in range(len(one)):
        with pytest.raises(CheckFailed):
            keys.open(one[:length], "tombstone")


def test_keys_are_rotated_by_putting_the_new_one_first() -> None:
    before = SealingKeys.parse(OLD).seal(b"who", "tombstone")
    both = SealingKeys.parse(f"{NEW},\n {OLD}")
    assert both.open(before, "tombstone") == b"who"
    assert sealed.key_id_of(both.seal(b"who", "tombstone")) == SealingKeys.parse(NEW).key_id
    with pytest.raises(ConfigurationError, match="behind the newest one") as refused:
        SealingKeys.parse(NEW).open(before, "tombstone")
    assert SealingKeys.parse(OLD).key_id in str(refused.value)


# Names of their own: every worker makes other keys, and must collect the same tests.
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="none"),
        pytest.param(",", id="comma"),
        pytest.param("not base64!", id="no base64"),
        pytest.param(base64.b64encode(b"short").decode(), id="short"),
        pytest.param(f"{NEW},", id="nothing behind the comma"),
        pytest.param(f"{NEW},{NEW[:-4]}", id="cut off"),
    ],
)
def test_a_bad_key_is_one_line_that_does_not_quote_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32") as refused:
        SealingKeys.parse(text)
    assert "\n" not in str(refused.value)
    assert NEW not in str(refused.value)
    assert "short" not in str(refused.value)


def test_settings_say_which_key_is_missing() -> None:
    settings = load_settings({"OPS_DATABASE_URL": "unused"})
    with pytest.raises(ConfigurationError, match="OPS_GDPR_ENCRYPTION_KEY is not set"):
        sealed.sealing_keys(settings)
    given_key: Settings = settings.model_copy(
        update={"gdpr": GdprSettings(encryption_key=SecretStr(f"{NEW},{OLD}"))}
    )
    assert sealed.sealing_keys(given_key).key_id == SealingKeys.parse(NEW).key_id
