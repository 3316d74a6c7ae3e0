"""Two names of one place are no two repositories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops_platform.backup.repository import place_token
from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.clients import object_store
from ops_platform.clients.object_store import ObjectExists, ObjectMissing
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform_tests.backup.shapes import two_repositories


@dataclass
class Place:
    """A bucket. ``error``: what each request gets."""

    files: dict[str, bytes] = field(default_factory=dict)
    error: OpsError | None = None

    def uri(self, key: str) -> str:
        return f"s3://somewhere/{key}"

    def get(self, key: str) -> bytes:
        if self.error is not None:
            raise self.error
        if key not in self.files:
            raise ObjectMissing("it is not there")
        return self.files[key]

    def put(self, key: str, body: bytes, *, if_none_match: bool) -> None:
        assert if_none_match, "a token is never replaced"
        if key in self.files:
            raise ObjectExists("it is there")
        self.files[key] = body


Open = Callable[[str], BackupContext]


@pytest.fixture
def open_stanza(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setattr("os.chown", lambda *_: None)
    return lambda stanza: open_context(two_repositories(tmp_path), stanza)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> dict[str, Place]:
    """By the bucket's name in the settings."""
    found = {"backups": Place(), "far": Place()}
    monkeypatch.setattr(
        object_store, "from_settings", lambda settings, role: found[settings.s3.identity(role).bucket]
    )
    return found


def test_two_places_have_two_tokens_and_keep_them(open_stanza: Open, places: dict[str, Place]) -> None:
    for _ in range(2):
        assert place_token.require_own(open_stanza("product@offsite"), is_in_use=False, log=print)
        tokens = [place.files[f"pgbackrest/{place_token.FILE}"] for place in places.values()]
        assert tokens[0] != tokens[1]
        assert [len(token) for token in tokens] == [32, 32]
        before = [dict(place.files) for place in places.values()]
    assert before == [place.files for place in places.values()]


@pytest.mark.parametrize("is_in_use", [True, False])
def test_one_place_by_two_names_is_refused(
    open_stanza: Open, places: dict[str, Place], is_in_use: bool
) -> None:
    places["far"].files = places["backups"].files
    with pytest.raises(ConfigurationError, match="primary and offsite are one place by two names") as error:
        place_token.require_own(open_stanza("product@offsite"), is_in_use=is_in_use, log=print)
    assert "give offsite a bucket of its own" in str(error.value)
    # Backups into the first one go on.
    assert place_token.require_own(open_stanza("product"), is_in_use=True, log=print)


def test_a_copy_of_the_first_is_no_place_of_its_own(open_stanza: Open, places: dict[str, Place]) -> None:
    places["backups"].files[f"pgbackrest/{place_token.FILE}"] = b"token"
    places["far"].files = dict(places["backups"].files)
    with pytest.raises(ConfigurationError, match="filled with a copy of primary, delete that file there"):
        place_token.require_own(open_stanza("product@offsite"), is_in_use=True, log=print)


@pytest.mark.parametrize("error", [Unavailable("it is away"), ConfigurationError("denied: correct the key")])
@pytest.mark.parametrize("away", ["backups", "far"])
def test_while_one_does_not_tell_only_what_is_in_use_goes_on(
    open_stanza: Open, places: dict[str, Place], away: str, error: OpsError
) -> None:
    places[away].error = error
    said: list[str] = []
    assert not place_token.require_own(open_stanza("product@offsite"), is_in_use=True, log=said.append)
    assert said == [f"WARNING: whether the two repositories are two places could not be asked: {error}"]
    with pytest.raises(type(error)):
        place_token.require_own(open_stanza("product@offsite"), is_in_use=False, log=said.append)


@pytest.mark.parametrize("broken", ["backups", "far"])
def test_an_empty_token_tells_no_places_apart(
    open_stanza: Open, places: dict[str, Place], broken: str
) -> None:
    places[broken].files[f"pgbackrest/{place_token.FILE}"] = b""
    with pytest.raises(ConfigurationError, match=r"ops-platform/place in .* is empty: delete it there"):
        place_token.require_own(open_stanza("product@offsite"), is_in_use=True, log=print)
