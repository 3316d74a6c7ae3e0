"""What the command line shows of the ledger, from settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ops_platform.audit import report
from ops_platform.audit.sealer import seal
from ops_platform.clients import object_store as stores
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable
from ops_platform.local.servers.object_store_server import ObjectStoreServer
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.audit.rig import Rig, event

pytestmark = pytest.mark.services


@pytest.fixture
def settings(rig: Rig, object_store: ObjectStoreServer, tmp_path: Path) -> Callable[..., Settings]:
    (tmp_path / "private.pem").write_text(rig.private_pem)
    (tmp_path / "public.pem").write_text(rig.public_pem)

    def made(role: str = "ops_worker", **changes: str) -> Settings:
        environ = {
            "OPS_STATE_DIR": str(tmp_path),
            "OPS_DATABASE_URL": rig.database.url(role),
            "OPS_OWNER_DATABASE_URL": rig.database.url("ops_owner"),
            "OPS_CA_FILE": str(object_store.ca_file),
            **object_store.settings_environment(),
            "OPS_S3_LEDGER_PREFIX": rig.store.prefix,
            "OPS_AUDIT_PUBLIC_KEY_FILE": str(tmp_path / "public.pem"),
            "OPS_AUDIT_SIGNING_KEY_FILE": str(tmp_path / "private.pem"),
            **changes,
        }
        return load_settings({name: value for name, value in environ.items() if value})

    return made


def test_the_verdict_its_summary_and_its_json(rig: Rig, settings: Callable[..., Settings]) -> None:
    rig.events(3)
    rig.seal()
    rig.events(2)
    good = report.verify_ledger(settings())
    assert good.ok
    assert good.summary.startswith("ledger intact: 3 events under 1 seals, sealed up to ")
    assert "2 not sealed yet, the oldest for" in good.summary
    assert json.loads(json.dumps(good.as_json()))["unsealed"] == 2
    rig.attack("DELETE FROM audit_events WHERE id = 2")
    bad = report.verify_ledger(settings("ops_agent"))
    assert not bad.ok
    assert bad.findings == ["event 2: was removed after it was sealed (seal 1)"]
    assert "NOT INTACT, 1 differences" in bad.summary
    assert json.loads(json.dumps(bad.as_json()))["findings"][0]["where"] == "event 2"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"OPS_S3_ENDPOINT_URL": "https://127.0.0.1:1"}, CheckFailed, "could not be verified"),
        ({"OPS_S3_LEDGER_ACCESS_KEY_ID": "nobody"}, CheckFailed, "could not be verified"),
        ({"OPS_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, CheckFailed, "could not be verified"),
        ({"OPS_S3_LEDGER_BUCKET": ""}, ConfigurationError, "OPS_S3_LEDGER_BUCKET"),
        ({"OPS_AUDIT_PUBLIC_KEY_FILE": ""}, ConfigurationError, "OPS_AUDIT_PUBLIC_KEY"),
    ],
)
def test_what_could_not_be_verified_fails_in_one_line(
    settings: Callable[..., Settings], changes: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as raised:
        report.verify_ledger(settings(**changes))
    assert "\n" not in str(raised.value)


def test_a_database_without_the_ledger_or_the_right_is_said_in_one_line(
    rig: Rig, settings: Callable[..., Settings]
) -> None:
    with pytest.raises(CheckFailed, match=r"cannot be read: permission denied"):
        report.verify_ledger(settings("ops_api"))
    with rig.superuser() as superuser:
        superuser.execute("DROP TABLE audit_events CASCADE")
    assert any(
        finding.startswith("public.audit_events: is missing")
        for finding in report.verify_ledger(settings()).findings
    )
    with rig.superuser() as superuser:
        superuser.execute("DROP TABLE audit_seals")
    with pytest.raises(CheckFailed, match="ops-platform migrate"):
        report.verify_ledger(settings())
    with pytest.raises(Unavailable, match="ops-platform migrate"):
        report.recent_events(settings())


def test_recent_events_name_their_seal(rig: Rig, settings: Callable[..., Settings]) -> None:
    rig.events(2)
    rig.seal()
    with rig.connect("ops_agent") as connection:
        from ops_platform.audit.ledger import append

        append(connection, event(7, action="stack.up", object="ops"))
    events = report.recent_events(settings(), limit=2)
    assert [(e["id"], e["seal"], e["action"]) for e in events] == [
        (2, 1, "backup.run"),
        (3, None, "stack.up"),
    ]
    assert [e["id"] for e in report.recent_events(settings(), object_name="product", limit=1)] == [2]
    assert [e["id"] for e in report.recent_events(settings(), action="stack.up")] == [3]


def test_an_epoch_is_opened_from_settings(rig: Rig, settings: Callable[..., Settings]) -> None:
    rig.events(1)
    with pytest.raises(ConfigurationError, match="SIGNING_KEY"):
        report.open_next_epoch(settings(OPS_AUDIT_SIGNING_KEY_FILE=""))
    assert report.open_next_epoch(settings()).opens == 2
    rig.events(1)
    with postgres.connect(rig.database.url("ops_agent")) as connection:
        store = stores.from_settings(settings(), "ledger")
        assert seal(connection, store, rig.key) is not None
    assert report.verify_ledger(settings()).ok
    assert [e["seal"] for e in report.recent_events(settings())] == [1, 2]
