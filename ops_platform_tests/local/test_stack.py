"""The embedded stack from the outside: up, status, env, logs, crashes, up again."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
from datetime import UTC, datetime

import httpx
import psycopg
import pytest

from ops_platform.clients import object_store
from ops_platform.clients.mail import maildir
from ops_platform.clients.redis import cache
from ops_platform.clients.waiting import wait_until
from ops_platform_tests.running_stack import RunningStack, command_line

pytestmark = pytest.mark.services

SERVICES = {
    "product-postgres", "ops-postgres", "object-store", "redis", "prometheus", "alertmanager", "mail",
    "traffic", "agent", "api", "code-server", "webserver", "webserver-readonly", "guard", "daemon",
}  # fmt: skip


def test_everything_runs_and_both_stanzas_have_a_full_backup(stack: RunningStack) -> None:
    status = stack.status()
    assert set(status) == SERVICES
    assert [name for name, row in status.items() if not row["ready"]] == []
    backups = json.loads(stack.run("backups", "--json").stdout)
    kinds = {row["stanza"]: [backup["kind"] for backup in row["sets"]] for row in backups}
    assert kinds["product"].count("full") == 1
    assert kinds["ops"].count("full") == 1


def test_a_second_up_changes_nothing(stack: RunningStack) -> None:
    before = stack.pids()
    done = stack.up()
    assert stack.pids() == before
    assert "runs already" in done.stdout
    assert str(stack.base) in done.stdout


def test_env_is_all_that_a_shell_needs(stack: RunningStack) -> None:
    lines = stack.run("env").stdout
    assert "OPS_STACK_ID" not in lines
    script = (
        lines + '\necho "$OPS_DAGSTER_URL"; psql -qAt "$OPS_PRODUCT_DATABASE_URL" -c "SELECT current_user"'
    )
    shell = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=False, env={"PATH": os.defpath}
    )
    assert shell.stdout.split() == [f"http://127.0.0.1:{stack.base}", "ops_worker"], shell.stderr


def test_no_secret_is_on_a_command_line_or_readable_by_others(stack: RunningStack) -> None:
    secrets = {
        path.read_text(encoding="utf-8").strip()
        for path in stack.layout.secrets.iterdir()
        if not path.name.startswith(("pgpass", "audit", "s3-identities"))
    }
    secrets |= {
        line.rsplit(":", 1)[1]
        for path in stack.layout.secrets.glob("pgpass-*")
        for line in path.read_text(encoding="utf-8").splitlines()
    }
    for process in stack.processes():
        words = " ".join(command_line(process))
        assert not any(secret in words for secret in secrets), process.name()
    loose = [
        path
        for folder in (stack.layout.secrets, stack.layout.env)
        for path in folder.iterdir()
        if path.stat().st_mode & 0o077
    ]
    assert loose == []
    for path in (stack.layout.environment_file, stack.layout.supervisor_file, stack.layout.pgbackrest_config):
        assert path.stat().st_mode & 0o077 == 0, path
    for log in stack.layout.logs.iterdir():
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not any(secret in text for secret in secrets), log


def test_logs_names_its_services_and_prints_one(stack: RunningStack) -> None:
    assert set(stack.run("logs").stdout.split()) >= SERVICES
    assert "PostgreSQL" in stack.run("logs", "product-postgres", "-n", "200").stdout
    refused = stack.run("logs", "postgrs")
    assert refused.returncode == 2
    assert "product-postgres" in refused.stderr


def test_the_readonly_webserver_changes_nothing(stack: RunningStack) -> None:
    from ops_platform.clients.dagster import Dagster
    from ops_platform.errors import OpsError

    auditor = Dagster(stack.settings.require("dagster_readonly_url"), token=stack.settings.dagster_token)
    before = len(stack.dagster.runs("backup_full"))
    with pytest.raises(OpsError):
        auditor.launch("backup_full", {"stanza": "product"})
    assert len(stack.dagster.runs("backup_full")) == before


@pytest.mark.full
def test_after_a_crash_of_everything_up_brings_it_back_with_nothing_lost(stack: RunningStack) -> None:
    settings = stack.settings
    owner = settings.require("product_owner_database_url")
    with psycopg.connect(owner) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS ops_platform.crash_probe (note text)")
        connection.execute("INSERT INTO ops_platform.crash_probe VALUES ('kept')")
    media = object_store.from_settings(settings, "media")
    media.put("probe/crash", b"kept")
    cache.from_settings(settings).client.set("probe:crash", "kept")
    runs = {run.run_id for run in stack.dagster.runs("backup_full")}

    stack.kill_everything()
    assert stack.run("status").returncode == 1
    stack.up()

    assert [name for name, row in stack.status().items() if not row["ready"]] == []
    with psycopg.connect(owner) as connection:
        assert connection.execute("SELECT note FROM ops_platform.crash_probe").fetchall() == [("kept",)]
        connection.execute("DROP TABLE ops_platform.crash_probe")
    assert media.get("probe/crash") == b"kept"
    assert cache.from_settings(settings).client.get("probe:crash") == "kept"
    assert {run.run_id for run in stack.dagster.runs("backup_full")} == runs


def test_a_creator_asks_confirms_and_sees_it(stack: RunningStack) -> None:
    """The API over TLS, the agent's mail in the Maildir, the development token: as somebody tries it out."""
    settings = stack.settings
    with psycopg.connect(settings.require("product_database_url")) as product:
        row = product.execute("SELECT id, email FROM creators ORDER BY number LIMIT 1").fetchone()
    assert row is not None
    began = datetime.now(UTC)
    token = stack.run("gdpr", "token", "--subject", str(row[0])).stdout.strip()
    trust = ssl.create_default_context(cafile=str(settings.ca_file))
    with httpx.Client(base_url=settings.require("api_url"), verify=trust, trust_env=False) as api:
        bearer = {"Authorization": f"Bearer {token}"}
        made = api.post("/api/gdpr/request", json={"request_type": "export"}, headers=bearer)
        assert made.status_code == 202, made.text
        request_id = made.json()["request_id"]

        def code() -> str | None:
            assert settings.mail_dir is not None
            texts = [message.text for message in maildir.since(settings.mail_dir, began)]
            found = [re.search(rf"#request={request_id}&token=(\w+)", text) for text in texts]
            return next((match.group(1) for match in found if match), None)

        mailed = wait_until(code, 30, "the mail arrives")
        assert api.post(f"/api/gdpr/verify/{request_id}", json={"token": mailed}).is_success
        status = api.get(f"/api/gdpr/status/{request_id}", headers=bearer).json()
        assert status["verified_at"] is not None
        done = api.delete(f"/api/gdpr/request/{request_id}", headers=bearer)
        assert done.json()["outcome"] == "cancelled"
