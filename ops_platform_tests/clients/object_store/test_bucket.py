"""The S3 client on a real store: what it writes and reads, and one line for everything that goes wrong."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ops_platform.clients import object_store as stores
from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.object_store.s3_errors import (
    ObjectExists,
    ObjectMissing,
    ObjectStoreRefused,
    ObjectStoreUnavailable,
)
from ops_platform.errors import ConfigurationError, OpsError
from ops_platform.local.servers.object_store_server import REGION, ObjectStoreServer
from ops_platform.settings import S3Identity, load_settings

_numbers = itertools.count(1)
SECRET = "a-secret-that-is-wrong"


def store(server: ObjectStoreServer, role: str = "media", **changes: Any) -> ObjectStore:
    """The store of ``role`` below a prefix of its own, changed by ``changes``."""
    fields = {
        "bucket": server.bucket("media" if role == "admin" else role),
        "access_key_id": server.access_key_id(role),
        "secret_access_key": server.secret_access_key(role),
        "prefix": f"client-{next(_numbers)}/",
    }
    others: dict[str, Any] = {
        "endpoint_url": server.endpoint_url,
        "region": REGION,
        "ca_file": server.ca_file,
    }
    fields |= {name: value for name, value in changes.items() if name in fields}
    others |= {name: value for name, value in changes.items() if name in others}
    return ObjectStore(identity=S3Identity(role=role, **fields), **others)


@pytest.fixture
def media(object_store: ObjectStoreServer) -> ObjectStore:
    return store(object_store)


@pytest.fixture
def ledger(object_store: ObjectStoreServer) -> ObjectStore:
    return store(object_store, "ledger")


def test_what_is_not_configured_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="OPS_S3_MEDIA_BUCKET"):
        ObjectStore(None, REGION, S3Identity(role="media"))
    with pytest.raises(ConfigurationError, match="OPS_CA_FILE"):
        ObjectStore(None, REGION, S3Identity(role="media", bucket="b"), tmp_path / "missing.pem")


@pytest.mark.parametrize("role", ["backup", "ledger"])
def test_the_bucket_of_an_identity_is_never_the_drill_bucket(role: str) -> None:
    values = {"OPS_S3_BACKUP_BUCKET": "backups", "OPS_S3_LEDGER_BUCKET": "ledger"}
    with pytest.raises(ConfigurationError, match="set OPS_S3_DRILL_BUCKET"):
        stores.drill_from_settings(load_settings(values), "backup")
    same = load_settings({**values, "OPS_S3_DRILL_BUCKET": values[f"OPS_S3_{role.upper()}_BUCKET"]})
    with pytest.raises(ConfigurationError, match=rf"the bucket of the S3 role {role}.*a bucket of its own"):
        stores.drill_from_settings(same, "backup")
    drill = stores.drill_from_settings(load_settings({**values, "OPS_S3_DRILL_BUCKET": "drill"}), "backup")
    assert (drill.bucket, drill.prefix) == ("drill", "")


@pytest.mark.processes
def test_a_store_that_is_away_is_said_within_seconds() -> None:
    identity = S3Identity(role="media", bucket="b", access_key_id="k", secret_access_key=SecretStr(SECRET))
    for endpoint in ("https://127.0.0.1:1", "https://no-such-host.invalid"):
        with pytest.raises(ObjectStoreUnavailable, match="OPS_S3_ENDPOINT_URL"):
            ObjectStore(endpoint, REGION, identity).check()
    for endpoint in ("nonsense", "https://127.0.0.1:notaport"):
        with pytest.raises(ConfigurationError, match="malformed"):
            ObjectStore(endpoint, REGION, identity).check()


@pytest.mark.services
class TestObjects:
    def test_put_get_head_list_delete_below_a_prefix(self, media: ObjectStore) -> None:
        for key in ("a/1", "a/10", "b/ü ?&"):
            media.put(key, key.encode(), content_type="text/plain")
        assert media.get("b/ü ?&") == "b/ü ?&".encode()
        head = media.head("a/10")
        assert head is not None
        assert (head.key, head.size, head.encryption) == ("a/10", 4, "AES256")
        assert [stored.key for stored in media.list()] == ["a/1", "a/10", "b/ü ?&"]
        assert [stored.key for stored in media.list("a/1")] == ["a/1", "a/10"]
        assert [stored.key for stored in media.list("a/", start_after="a/1")] == ["a/10"]
        assert media.uri("a/1") == f"s3://{media.bucket}/{media.prefix}a/1"
        media.delete("a/1")
        assert media.head("a/1") is None
        with pytest.raises(ObjectMissing, match="a/1"):
            media.get("a/1")

    def test_a_conditional_put_has_one_winner(self, media: ObjectStore) -> None:
        def attempt(number: int) -> int | None:
            try:
                media.put("once", str(number).encode(), if_none_match=True)
            except ObjectExists:
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [number for number in pool.map(attempt, range(16)) if number is not None]
        assert len(winners) == 1
        assert media.get("once") == str(winners[0]).encode()

    def test_a_lock_holds_against_everybody_and_versions_show_what_is_hidden(
        self, ledger: ObjectStore, object_store: ObjectStoreServer
    ) -> None:
        until = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
        version = ledger.put("k", b"kept", retain_until=until)
        lock = ledger.retention("k")
        assert lock is not None
        assert (lock.mode, lock.until) == ("COMPLIANCE", until)
        admin = store(object_store, "admin", bucket=ledger.bucket, prefix=ledger.prefix)
        for who in (ledger, admin):
            with pytest.raises(ObjectStoreRefused, match="locked"):
                who.delete("k", version)
        ledger.delete("k")
        assert ledger.head("k") is None
        assert ledger.get("k", version) == b"kept"
        ledger.put("k2", b"free")
        assert ledger.retention("k2") is None
        seen = [(stored.key, stored.delete_marker) for stored in ledger.versions()]
        assert sorted(seen) == [("k", False), ("k", True), ("k2", False)]
        assert [key for key, _ in seen] == ["k", "k", "k2"]

    def test_questions_about_the_bucket(self, ledger: ObjectStore, object_store: ObjectStoreServer) -> None:
        assert ledger.object_lock_enabled()
        admin = store(object_store, "admin")
        assert not admin.object_lock_enabled()

    @pytest.mark.full
    def test_listings_go_beyond_a_page(self, ledger: ObjectStore) -> None:
        names = [f"n/{number:05d}" for number in range(1100)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda name: ledger.put(name, b"x"), names))
            list(pool.map(ledger.delete, names[998:1002]))
        assert [stored.key for stored in ledger.list()] == names[:998] + names[1002:]
        assert [stored.key for stored in ledger.versions()] == sorted([*names, *names[998:1002]])


@pytest.mark.services
class TestErrors:
    @pytest.fixture
    def wrong_ca(self, tmp_path: Path) -> Path:
        import trustme

        path = tmp_path / "other-ca.pem"
        trustme.CA().cert_pem.write_to_path(str(path))
        return path

    @pytest.mark.parametrize(
        ("role", "changes", "said"),
        [
            ("admin", {"bucket": "no-such-bucket"}, "no such bucket.*OPS_S3_ADMIN_BUCKET"),
            ("media", {"bucket": "no-such-bucket"}, "access denied.*OPS_S3_MEDIA_BUCKET"),
            ("media", {"access_key_id": "nobody"}, "OPS_S3_MEDIA_ACCESS_KEY_ID"),
            ("media", {"secret_access_key": SECRET}, "OPS_S3_MEDIA_SECRET_ACCESS_KEY_FILE"),
            ("media", {"bucket": "Not_A/Bucket"}, "malformed"),
        ],
    )
    def test_a_wrong_setting_gives_one_line_that_names_it(
        self, object_store: ObjectStoreServer, role: str, changes: dict[str, Any], said: str
    ) -> None:
        self.expect(store(object_store, role, **changes), said)

    def test_a_wrong_authority(self, object_store: ObjectStoreServer, wrong_ca: Path) -> None:
        self.expect(store(object_store, ca_file=wrong_ca), "unknown authority.*OPS_CA_FILE")
        self.expect(store(object_store, ca_file=None), "unknown authority.*OPS_CA_FILE")

    def test_a_port_that_does_not_speak_tls(self, object_store: ObjectStoreServer) -> None:
        endpoint = f"https://127.0.0.1:{object_store.ports['s3-http']}"
        self.expect(store(object_store, endpoint_url=endpoint), "does not speak TLS")

    def test_another_identitys_bucket(self, object_store: ObjectStoreServer) -> None:
        other = store(object_store, "media", bucket=object_store.bucket("ledger"))
        with pytest.raises(ObjectStoreRefused, match="access denied"):
            other.put("k", b"x")

    @pytest.mark.parametrize("code", ["AuthorizationHeaderMalformed", "PermanentRedirect", "301"])
    def test_a_wrong_region_as_aws_tells_it(self, media: ObjectStore, code: str) -> None:
        # SeaweedFS takes any region, so this answer cannot be had from a server here.
        from botocore.exceptions import ClientError

        answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 301}}
        with pytest.raises(ObjectStoreRefused, match="OPS_S3_REGION"), media.errors("read", "k"):
            raise ClientError(answer, "GetObject")

    def test_settings_make_a_store(self, object_store: ObjectStoreServer, settings_for: Any) -> None:
        made = stores.from_settings(settings_for(), "media")
        assert (made.bucket, made.role) == (object_store.bucket("media"), "media")
        made.check()

    @staticmethod
    def expect(wrong: ObjectStore, said: str) -> None:
        with pytest.raises(OpsError, match=said) as refused:
            wrong.check()
        text = str(refused.value)
        assert "\n" not in text
        assert SECRET not in text


def dated(**headers: str) -> ObjectStore:
    """A store that answers with these headers."""

    class Dated:
        def list_objects_v2(self, **_: object) -> dict[str, Any]:
            return {"ResponseMetadata": {"HTTPHeaders": headers}}

    asked = ObjectStore(None, REGION, S3Identity(role="media", bucket="media"))
    asked.__dict__["client"] = Dated()
    return asked


@pytest.mark.parametrize(("ahead", "least", "most"), [(-3600, 3590, 3601), (-1, 0, 1), (0, 0, 0), (60, 0, 0)])
@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_clock_that_is_behind_is_told_by_the_date_of_an_answer(
    ahead: int, least: int, most: int, zone: str
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    behind = dated(date=date.replace("GMT", zone)).clock_behind()
    assert behind is not None
    assert timedelta(seconds=least) <= behind <= timedelta(seconds=most)


@pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "now"}, {"date": "Mon, 30 Nov 9999999999"}])
def test_an_answer_without_a_date_tells_no_clock(headers: dict[str, str]) -> None:
    assert dated(**headers).clock_behind() is None


@pytest.mark.services
def test_a_store_on_this_host_has_our_time(object_store: ObjectStoreServer) -> None:
    assert store(object_store).clock_behind() == timedelta(0)
