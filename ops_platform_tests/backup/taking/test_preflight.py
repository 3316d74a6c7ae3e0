"""Every fault is one line that says what to do; the server's configuration and the repository stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ops_platform.backup.stanza.context import BackupContext, open_context
from ops_platform.backup.stanza.model import Kind
from ops_platform.backup.taking import execution, preflight
from ops_platform.backup.taking.preflight import Server
from ops_platform.clients.pgbackrest.command import PgBackRestError
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import OpsError
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform.settings import Settings
from ops_platform_tests.backup.site import Site, silent, take

pytestmark = pytest.mark.services

FAULTS: dict[str, tuple[Mapping[str, str], str]] = {
    "wrong bucket": (
        {"OPS_S3_BACKUP_BUCKET": "someone-elses", "PGBACKREST_REPO1_S3_BUCKET": "someone-elses"},
        r"S3 denies access: correct PGBACKREST_REPO1_S3_BUCKET",
    ),
    "wrong access key": ({"OPS_S3_BACKUP_ACCESS_KEY_ID": "nobody"}, r"correct OPS_S3_BACKUP_ACCESS_KEY_ID"),
    "wrong secret": (
        {"OPS_S3_BACKUP_SECRET_ACCESS_KEY_FILE": "wrong"},
        r"correct OPS_S3_BACKUP_SECRET_ACCESS_KEY",
    ),
    "wrong CA": (
        {"OPS_CA_FILE": "/etc/ssl/certs/ca-certificates.crt"},
        r"the certificate of S3 .* is not accepted .*OPS_CA_FILE",
    ),
    "missing CA": ({"OPS_CA_FILE": "/nowhere/ca.pem"}, r"CA file /nowhere/ca.pem .*correct OPS_CA_FILE"),
    "nobody there": ({"OPS_S3_ENDPOINT_URL": "https://127.0.0.1:9"}, r"S3 at 127.0.0.1:9 cannot be reached"),
    "no such name": (
        {"OPS_S3_ENDPOINT_URL": "https://s3.invalid"},
        r"S3 at s3.invalid:443 cannot be reached",
    ),
    "wrong passphrase": (
        {"OPS_PGBACKREST_CIPHER_PASS_FILE": "wrong"},
        r"cannot be decrypted: correct OPS_PGBACKREST_CIPHER_PASS",
    ),
    "missing binary": (
        {"OPS_PGBACKREST_BINARY": "/nowhere/pgbackrest"},
        r"/nowhere/pgbackrest is not on this machine",
    ),
    "not pgBackRest": ({"OPS_PGBACKREST_BINARY": "/bin/false"}, r"does not tell its version"),
}


@pytest.fixture
def other_settings(
    backed_up: Site, settings_for: Callable[..., Settings], tmp_path: Path
) -> Callable[..., Settings]:
    def make(changes: Mapping[str, str] | None = None, stanza: Mapping[str, str] | None = None) -> Settings:
        given = dict(changes or {})
        for name, value in given.items():
            if name.endswith("_FILE") and name != "OPS_CA_FILE":
                (tmp_path / name).write_text(value)
                given[name] = str(tmp_path / name)
        return settings_for(backed_up.cluster, database=backed_up.database, environ=given, stanza=stanza)

    return make


def refused(context: BackupContext, site: Site) -> str:
    before = site.context.pgbackrest.config_file.read_bytes()
    labels = set(site.labels())
    with pytest.raises(OpsError) as caught:
        execution.preflight(context, site.request("full"), silent)
    assert "\n" not in str(caught.value)
    assert site.context.pgbackrest.config_file.read_bytes() == before
    assert set(site.labels()) == labels
    return str(caught.value)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_setting(backed_up: Site, other_settings: Callable[..., Settings], fault: str) -> None:
    changes, said = FAULTS[fault]
    context = open_context(other_settings(changes), backed_up.name)
    assert re.search(said, refused(context, backed_up))


def test_an_unreachable_server(backed_up: Site, other_settings: Callable[..., Settings]) -> None:
    url = f"postgresql://ops_worker@127.0.0.1:9/product?sslrootcert={backed_up.cluster.ca_file}"
    context = open_context(other_settings(stanza={"connection": url}), backed_up.name)
    assert "cannot connect to PostgreSQL at 127.0.0.1:9/product" in refused(context, backed_up)


def test_another_data_directory(backed_up: Site, other_settings: Callable[..., Settings]) -> None:
    context = open_context(other_settings(stanza={"data_path": "/nowhere"}), backed_up.name)
    assert "keeps its data in" in refused(context, backed_up)


def test_a_stanza_made_for_another_cluster(
    backed_up: Site, other_settings: Callable[..., Settings], cluster_factory: Callable[..., PostgresCluster]
) -> None:
    other = cluster_factory("product")
    stanza = {
        "connection": other.url(),
        "data_path": str(other.data_dir),
        "socket_path": str(other.socket_dir),
        "port": str(other.port),
    }
    context = open_context(other_settings(stanza=stanza), backed_up.name)
    said = refused(context, backed_up)
    assert re.search(r"was made for another cluster \(PostgreSQL \d+, system id", said)
    assert f"ops-platform stanza upgrade --stanza {backed_up.name}" in said
    other.kill()


def test_a_stop_file(backed_up: Site) -> None:
    stop = backed_up.context.paths.lock / f"{backed_up.name}.stop"
    stop.touch()
    try:
        assert "run 'pgbackrest start' to go on" in refused(backed_up.context, backed_up)
    finally:
        stop.unlink()


def test_a_full_disk(backed_up: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "FREE_BYTES", 1 << 60)
    assert re.search(r"the disk of .* has \d+ MiB left: free at least", refused(backed_up.context, backed_up))


@pytest.mark.parametrize("kind", ["full", "incremental"])
@pytest.mark.full
def test_a_disk_that_fills_up_after_it_was_looked_at(backed_up: Site, kind: Kind) -> None:
    """The kernel's own answer, as any user gets it: /dev/full in the place of pgBackRest's lock file."""
    # 2.55 has one for each repository.
    locks = [backed_up.context.paths.lock / f"{backed_up.name}-backup{end}.lock" for end in ("", "-1")]
    labels = backed_up.labels()
    request = backed_up.request(kind)
    for lock in locks:
        lock.unlink(missing_ok=True)
        lock.symlink_to("/dev/full")
    try:
        with pytest.raises(PgBackRestError, match=r"the disk is full: free space where") as caught:
            execution.run_backup(backed_up.context, request, silent, silent)
    finally:
        for lock in locks:
            lock.unlink(missing_ok=True)
    assert len(str(caught.value).splitlines()) == 1
    assert backed_up.report(request.run_id)["error_reason"] == str(caught.value)
    assert backed_up.audit(request.run_id) == [("intent", None), ("outcome", "failed")]
    assert backed_up.labels() == labels
    assert take(backed_up, kind).report.backup_set.kind == kind


def test_a_stanza_made_without_the_encryption_that_is_promised(
    backed_up: Site, other_settings: Callable[..., Settings]
) -> None:
    context = open_context(other_settings(stanza={"encryption": "none"}), backed_up.name)
    assert "cannot be decrypted" in refused(context, backed_up)


@pytest.fixture
def broken_archiver(
    backed_up: Site, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    monkeypatch.setattr(preflight, "ARCHIVER_SECONDS", 3)
    with backed_up.cluster.superuser() as superuser:
        superuser.execute(
            "ALTER SYSTEM SET archive_command = 'pgbackrest --config=/nowhere --stanza=none archive-push %p'"
        )
        superuser.execute("SELECT pg_reload_conf()")
        superuser.execute("CREATE TABLE IF NOT EXISTS written (a int)")
        superuser.execute("INSERT INTO written VALUES (1)")
        superuser.execute("SELECT pg_switch_wal()")
        wait_until(
            lambda: preflight.look_at_server(backed_up.context).archiver_failing, 30, "the archiver fails"
        )
        yield superuser
        superuser.execute("ALTER SYSTEM RESET archive_command")
        superuser.execute("SELECT pg_reload_conf()")


def test_a_failing_archiver_and_its_recovery(
    backed_up: Site, broken_archiver: psycopg.Connection[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"the archiver of stanza {backed_up.name} is failing" in refused(backed_up.context, backed_up)
    # The cause is gone; nobody tells the archiver, and the next backup succeeds all the same.
    broken_archiver.execute("ALTER SYSTEM RESET archive_command")
    broken_archiver.execute("SELECT pg_reload_conf()")
    monkeypatch.setattr(preflight, "ARCHIVER_SECONDS", 60)
    execution.preflight(backed_up.context, backed_up.request("full"), silent)


def test_a_changed_setting_that_works_reaches_the_archiver(
    backed_up: Site, other_settings: Callable[..., Settings]
) -> None:
    production = backed_up.context.paths.config_file
    context = open_context(other_settings(stanza={"process_max": 2}), backed_up.name)
    assert "process-max=2" not in production.read_text()
    execution.preflight(context, backed_up.request("full"), silent)
    assert "process-max=2" in production.read_text()
    execution.preflight(backed_up.context, backed_up.request("full"), silent)
    assert "process-max=2" not in production.read_text()


@pytest.mark.parametrize(
    ("change", "version", "said"),
    [
        (
            {},
            (2, 40),
            "pgBackRest 2.40 is too old for PostgreSQL 15 of stanza product: install 2.41 or newer",
        ),
        ({"version": 17}, (2, 45), "install 2.53 or newer"),
        ({"version": 18}, (2, 54), "install 2.55 or newer"),
        ({"in_recovery": True}, (2, 45), "is a standby: point its connection at the primary"),
        ({"archive_mode": "off"}, (2, 45), "set archive_mode = on"),
    ],
)
def test_a_server_that_cannot_be_backed_up(
    site: Site, change: Mapping[str, object], version: tuple[int, int], said: str
) -> None:
    found = Server(15, 1, False, "on", 60, str(site.cluster.data_dir), False, None)
    with pytest.raises(OpsError, match=re.escape(said.replace("product", site.name))):
        preflight.refuse_server(site.context, replace(found, **change), version)  # type: ignore[arg-type]
