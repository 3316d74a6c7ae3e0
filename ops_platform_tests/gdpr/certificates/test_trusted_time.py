"""Trusted time: a real authority stamps a certificate; one that is away, lies or is not trusted does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops_platform.cli.gdpr import gdpr
from ops_platform.clients import timestamp_authority
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.timestamp_authority import TimestampAuthority
from ops_platform.errors import CheckFailed, OpsError, Unavailable
from ops_platform.gdpr.certificates import certificate_store, line_checks, trusted_time
from ops_platform.gdpr.certificates import document as certificate
from ops_platform.gdpr.certificates.document import Issued, NotGenuine
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform_tests.clients.tsa import Tsa, running_tsa
from ops_platform_tests.gdpr.certificates.test_document import KEY, KEYS, PUBLIC, UNTIL, composed
from ops_platform_tests.gdpr.other_stores import store
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def _tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tsa]:
    with running_tsa(tmp_path_factory.mktemp("tsa")) as tsa:
        yield tsa


@pytest.fixture
def tsa(_tsa: Tsa) -> Tsa:
    _tsa.replay, _tsa.status = None, 200
    return _tsa


@pytest.fixture
def authority(tsa: Tsa) -> TimestampAuthority:
    return TimestampAuthority(tsa.url, tsa.ca_file)


@pytest.fixture
def issued(demo_map: DataMap) -> Issued:
    return certificate.sign(composed(demo_map), KEY)


def test_its_token_says_when_it_existed_and_is_checked_offline(
    tsa: Tsa, authority: TimestampAuthority, issued: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = authority.stamp(trusted_time.digest(issued.document))
    at = trusted_time.verify(token, issued.document, tsa.ca_file)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    text = issued.as_file(token).encode()
    assert certificate.verify(text, KEYS)["request_id"] == "r1"
    file = tmp_path / "certificate.json"
    monkeypatch.setenv("OPS_DATABASE_URL", "unused")
    monkeypatch.setenv("OPS_GDPR_PUBLIC_KEY", PUBLIC)

    def run(content: str, *arguments: str) -> Any:
        file.write_text(content, encoding="utf-8")
        return CliRunner().invoke(gdpr, ["verify-certificate", str(file), *arguments])

    roots = ("--timestamp-ca", str(tsa.ca_file))
    assert "says a time stamping authority" in run(issued.as_file(token), *roots).output
    assert "no trusted time yet" in run(issued.as_file(), *roots).output
    # By the system's roots it is nobody's, and so is what was changed or is another certificate's.
    ended = run(issued.as_file(token))
    assert isinstance(ended.exception, NotGenuine)
    assert "not signed by an authority that is trusted here" in str(ended.exception)


def test_another_documents_token_and_a_spoilt_one_fail_their_line(
    tsa: Tsa, authority: TimestampAuthority, issued: Issued
) -> None:
    others = authority.stamp(trusted_time.digest("another document"))
    own = authority.stamp(trusted_time.digest(issued.document))
    for token in (others, own[:-20], b"", bytes([*own[:-9], own[-9] ^ 1, *own[-8:]])):
        failed = [
            line.name
            for line in line_checks.check(issued.as_file(token).encode(), KEYS, timestamp_roots=tsa.ca_file)
            if not line.passed
        ]
        assert failed == ["trusted time"]
    wrapped = json.loads(issued.as_file(own))
    wrapped["trusted_time"] = "%%%"
    lines = line_checks.check(json.dumps(wrapped).encode(), KEYS, timestamp_roots=tsa.ca_file)
    assert [line.name for line in lines if not line.passed] == ["trusted time"]


def test_an_answer_that_was_given_before_or_is_an_error_is_refused(
    tsa: Tsa, authority: TimestampAuthority
) -> None:
    digest = trusted_time.digest("x")
    authority.stamp(digest)
    tsa.replay = (tsa.directory / "answer").read_bytes()
    with pytest.raises(CheckFailed):
        authority.stamp(digest)
    tsa.replay, tsa.status = None, 503
    with pytest.raises(Unavailable, match="503"):
        authority.stamp(digest)
    with pytest.raises(Unavailable):
        TimestampAuthority("http://127.0.0.1:9/", tsa.ca_file).stamp(digest)


def test_one_that_was_away_stamps_later_and_once(
    tsa: Tsa,
    authority: TimestampAuthority,
    demo_map: DataMap,
    ops_database: OpsDatabase,
    object_store: ObjectStoreServer,
) -> None:
    ledger = store(object_store, "ledger")
    said: list[str] = []
    with postgres.connect(ops_database.url("ops_worker"), autocommit=True) as ops:
        first = certificate_store.issue(ops, ledger, KEY, composed(demo_map), lock_until=UNTIL)
        away = TimestampAuthority("http://127.0.0.1:9/", tsa.ca_file)
        with pytest.raises(OpsError):
            trusted_time.stamp(ops, ledger, away, first)
        assert trusted_time.stamp_missing(ops, ledger, away, said.append) == 1
        assert "no trusted time yet" in said[0]
        assert trusted_time.find(ops, "r1") is None
        assert trusted_time.stamp_missing(ops, ledger, authority, said.append) == 0
        token, asked = trusted_time.find(ops, "r1"), tsa.asked
        assert token is not None
        # An ops database that has lost it takes the ledger's; nobody is asked again.
        with ops_database.superuser() as superuser:
            superuser.execute("ALTER TABLE gdpr_trusted_times DISABLE TRIGGER ALL")
            superuser.execute("DELETE FROM gdpr_trusted_times")
        ledger.put("trusted-times/r1.tst", b"forged")
        assert trusted_time.stamp_missing(ops, ledger, authority, said.append) == 0
        assert (trusted_time.find(ops, "r1"), tsa.asked) == (token, asked)
    assert timestamp_authority.verify(token, trusted_time.digest(first.document), tsa.ca_file)
