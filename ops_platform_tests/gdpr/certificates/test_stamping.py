"""Which trusted times are stored: nothing keeps the right one out of the ledger, and no wrong one gets in.

Tokens are texts here, a digest and a time: what a real authority's look like is in ``test_trusted_time``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from ops_platform.clients import timestamp_authority
from ops_platform.clients.object_store import ObjectStore, StoredObject
from ops_platform.clients.postgres.connection import Connection
from ops_platform.clients.timestamp_authority import TimestampAuthority
from ops_platform.errors import CheckFailed, OpsError, Unavailable
from ops_platform.gdpr.certificates import certificate_store, trusted_time
from ops_platform.gdpr.certificates import document as certificate
from ops_platform.gdpr.certificates.document import Issued
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform_tests.gdpr.certificates.test_document import KEY, composed

KEY_IN_LEDGER = "trusted-times/r1.tst"
MINUTE = timedelta(minutes=1)


@dataclass
class Authority:
    """Its clock goes ``ahead``. It answers one after the other with ``troubles``, None: a token."""

    ahead: timedelta = timedelta()
    troubles: list[OpsError | None] = field(default_factory=list)
    asked: int = 0
    ca_file: Path = Path("unused")

    def stamp(self, digest: bytes) -> bytes:
        self.asked += 1
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None:
            raise trouble
        return token(digest, datetime.now(UTC) + self.ahead)


def token(digest: bytes, at: datetime) -> bytes:
    return f"{digest.hex()} {at.isoformat()}".encode()


def verify(found: bytes, digest: bytes, _: Path) -> datetime:
    of, at = (found.decode() + " ").split(" ")[:2]
    if of != digest.hex():
        raise CheckFailed("not genuine")
    return datetime.fromisoformat(at)


@dataclass
class Ledger:
    held: list[tuple[str, bytes, datetime | None]] = field(default_factory=list)

    def put(self, key: str, body: bytes, *, retain_until: datetime | None, content_type: str) -> None:
        self.held.append((key, body, retain_until))

    def get(self, key: str, version_id: str) -> bytes:
        return self.held[int(version_id)][1]

    def versions(self, prefix: str) -> list[StoredObject]:
        return [
            StoredObject(key, len(body), datetime.now(UTC), "", str(number))
            for number, (key, body, _) in reversed([*enumerate(self.held)])
            if key.startswith(prefix)
        ]


@dataclass
class Rows:
    """The certificates without a trusted time, and the tokens."""

    missing: list[str] = field(default_factory=list)
    tokens: dict[str, bytes] = field(default_factory=dict)
    found: Sequence[dict[str, Any]] = ()

    def execute(self, query: str, values: tuple[Any, ...]) -> Rows:
        if query.startswith("INSERT"):
            self.tokens.setdefault(values[0], values[1])
        elif "FROM gdpr_certificates" in query:
            self.found = [{"request_id": name} for name in self.missing if name not in self.tokens]
        else:
            self.found = [{"token": self.tokens[name]} for name in values if name in self.tokens]
        return self

    def fetchone(self) -> dict[str, Any] | None:
        return next(iter(self.found), None)

    def fetchall(self) -> Sequence[dict[str, Any]]:
        return self.found


@dataclass
class Scene:
    issued: Issued
    rows: Rows = field(default_factory=Rows)
    ledger: Ledger = field(default_factory=Ledger)
    authority: Authority = field(default_factory=Authority)
    said: list[str] = field(default_factory=list)

    def stamp(self) -> datetime:
        return trusted_time.stamp(*self._stores(), self.issued)

    def stamp_missing(self, **limits: Any) -> int:
        return trusted_time.stamp_missing(*self._stores(), self.said.append, **limits)

    def _stores(self) -> tuple[Connection, ObjectStore, TimestampAuthority]:
        return (
            cast(Connection, self.rows),
            cast(ObjectStore, self.ledger),
            cast(TimestampAuthority, self.authority),
        )


@pytest.fixture
def place(demo_map: DataMap, monkeypatch: pytest.MonkeyPatch) -> Scene:
    now = datetime.now(UTC)
    times = {
        "issued_at": now.isoformat(),
        "last_backup_expires_at": (now + timedelta(days=80)).isoformat(),
    }
    issued = certificate.sign({**composed(demo_map), **times}, KEY)
    monkeypatch.setattr(timestamp_authority, "verify", verify)
    monkeypatch.setattr(certificate_store, "find", lambda _, name: replace(issued, request_id=name))
    return Scene(issued)


def test_what_was_put_there_first_does_not_keep_it_out_of_the_ledger(place: Scene) -> None:
    place.ledger.held.append((KEY_IN_LEDGER, b"forged", None))
    place.stamp()
    key, stored, locked_until = place.ledger.held[-1]
    assert (key, stored) == (KEY_IN_LEDGER, place.rows.tokens["r1"])
    assert locked_until == place.issued.backups_expire_at
    place.stamp()
    assert (len(place.ledger.held), place.authority.asked) == (2, 1)
    # Where the ledger's is lost, the row's goes there again; where the row is, the ledger's comes back.
    place.ledger.held.pop()
    place.stamp()
    assert place.ledger.held[-1][1] == place.rows.tokens.pop("r1")
    place.stamp()
    assert (place.rows.tokens["r1"], place.authority.asked) == (stored, 1)


@pytest.mark.parametrize("ahead", [6 * MINUTE, -6 * MINUTE])
def test_a_time_that_cannot_be_right_is_not_stored_for_ever(place: Scene, ahead: timedelta) -> None:
    place.authority.ahead = ahead
    with pytest.raises(CheckFailed, match="clock"):
        place.stamp()
    assert (place.rows.tokens, place.ledger.held) == ({}, [])


def test_a_genuine_token_from_before_the_issue_is_not_taken_from_the_ledger(place: Scene) -> None:
    early = token(trusted_time.digest(place.issued.document), place.issued.issued_at - 6 * MINUTE)
    place.ledger.held.append((KEY_IN_LEDGER, early, None))
    assert place.stamp() > place.issued.issued_at - MINUTE
    assert place.authority.asked == 1


def test_all_that_lack_one_are_stamped_at_one_look(place: Scene) -> None:
    place.rows.missing = [f"r{number}" for number in range(100)]
    assert place.stamp_missing() == 0
    assert len(place.rows.tokens) == 100


def test_one_that_is_refused_stops_none_after_it(place: Scene) -> None:
    place.rows.missing = ["r1", "r2", "r3"]
    place.authority.troubles = [None, CheckFailed("refused")]
    assert place.stamp_missing() == 1
    assert [*place.rows.tokens] == ["r1", "r3"]
    assert "r2" in place.said[0]


@pytest.mark.parametrize(("trouble", "asked"), [(Unavailable("away"), 1), (CheckFailed("not trusted"), 5)])
def test_an_authority_that_is_away_or_not_trusted_is_not_asked_for_each(
    place: Scene, trouble: OpsError, asked: int
) -> None:
    place.rows.missing = [f"r{number}" for number in range(9)]
    place.authority.troubles = [trouble] * 9
    assert place.stamp_missing() == 9
    assert place.authority.asked == asked


def test_what_there_is_no_time_for_is_no_failure_of_the_authority(place: Scene) -> None:
    place.rows.missing = ["r1", "r2"]
    assert place.stamp_missing(seconds=-1.0) == 0
    assert "2 certificates have no trusted time yet" in place.said[0]
