"""The console script: help, exit codes, one line on stderr, nothing secret."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops_platform.cli import cli
from ops_platform.cli.arguments import user
from ops_platform.cli.backup import operator
from ops_platform.cli.output import duration, moment, print_table, size
from ops_platform.dr.plan.scenario import EXERCISES
from ops_platform.local.servers.postgres_roles import ensure_database
from ops_platform_tests.console import Console
from ops_platform_tests.services import CLIENT_ROLES, OpsDatabases


def run(*arguments: str, state: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(state), "OPS_STATE_DIR": str(state), **environ}
    return subprocess.run(
        [sys.executable, "-c", "from ops_platform.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        env=clean,
        timeout=60,
        check=False,
    )


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Console:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OPS_STATE_DIR": str(tmp_path)}
    return Console(environment, monkeypatch, capsys)


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["up"],
        ["down"],
        ["status"],
        ["logs"],
        ["env"],
        ["migrate"],
        ["backup"],
        ["backups"],
        ["audit"],
        ["audit", "verify"],
    ],
)
def test_help_teaches(command: list[str]) -> None:
    result = CliRunner().invoke(cli, [*command, "--help"], prog_name="ops-platform")

    assert result.exit_code == 0
    assert result.output.startswith("Usage: ops-platform")


@pytest.mark.processes
def test_the_console_script_helps(tmp_path: Path) -> None:
    result = run("--help", state=tmp_path)

    assert result.returncode == 0
    assert result.stdout.startswith("Usage: ops-platform")


NEEDED_LATER = {
    "aiosmtpd", "boto3", "botocore", "fastapi", "httpx", "jwt", "numpy", "ops_platform.dr.plan.scenario",
    "ops_platform.local.bootstrap_runs", "ops_platform.local.demo_history", "ops_platform.local.first_setup",
    "promql_parser", "redis", "rich", "trustme", "yoyo",
}  # fmt: skip
"""What only some commands need: a console that loads it for all of them answers a second later."""


@pytest.mark.processes
def test_the_console_loads_what_is_needed_when_it_is_needed() -> None:
    program = (
        "import sys, ops_platform.cli; print(*sys.modules)\n"
        "import ops_platform.local.stack; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    console, stack = map(set, map(str.split, loaded.stdout.splitlines()))
    assert console & {*NEEDED_LATER, "psycopg", "cryptography", "yaml"} == set()
    assert stack & NEEDED_LATER == set()
    # Under whatever name: what was renamed must not be looked for in vain.
    assert [name for name in NEEDED_LATER if find_spec(name) is None] == []


def test_the_scenarios_are_those_of_the_exercises() -> None:
    helped = CliRunner().invoke(cli, ["dr", "exercise", "--help"])
    assert f"[{'|'.join(EXERCISES)}]" in helped.output
    refused = CliRunner().invoke(cli, ["dr", "exercise", "--scenario", "newest"])
    assert refused.exit_code == 2
    assert "'latest', 'pitr', 'integrity', 'performance', 'stolen_key'" in refused.output


def test_usage_errors_exit_2(console: Console) -> None:
    for arguments in (["backup", "monthly"], ["nonsense"], ["backups", "--colour"]):
        result = console.run(*arguments)
        assert result.returncode == 2, arguments
        assert result.stdout == ""


LACKED = {
    "backup": ["backup", "full"],
    "dr": ["dr", "history"],
    "slo": ["slo", "report"],
    "gdpr": ["gdpr", "map", "check"],
    "housekeeping": ["audit", "verify"],
}


@pytest.mark.parametrize("duty", LACKED)
def test_a_command_of_a_duty_that_the_host_lacks_says_so(console: Console, duty: str) -> None:
    others = ",".join(other for other in LACKED if other != duty)
    refused = console.run(*LACKED[duty], OPS_DUTIES=others)

    assert refused.returncode == 2
    assert refused.stderr == (
        f"ops-platform: this host does not have the duty {duty} (OPS_DUTIES={others}): "
        "run it on one that does\n"
    )


def test_a_restore_is_refused_on_no_host_and_a_backup_where_the_stanza_is_not(console: Console) -> None:
    restore = console.run(
        "restore", "--stanza", "product", "--to", "/nonexistent/copy", "--latest", OPS_DUTIES="slo"
    )
    assert "duty" not in restore.stderr
    elsewhere = console.run("backup", "full", "--stanza", "product", OPS_STANZAS="ops")
    assert elsewhere.returncode == 2
    assert elsewhere.stderr == (
        "ops-platform: the stanza product does not live on this host (OPS_STANZAS=ops): "
        "run it where it does\n"
    )
    # Of the only one that lives here no name is needed.
    here = console.run("backup", "full", OPS_STANZAS="ops")
    assert here.returncode == 2
    assert "no bucket is configured for the S3 role backup" in here.stderr


@pytest.mark.processes
def test_a_missing_setting_is_one_line_and_exit_2(tmp_path: Path) -> None:
    result = run("migrate", state=tmp_path)

    assert result.returncode == 2
    assert result.stderr.startswith("ops-platform: OPS_OWNER_DATABASE_URL is not set")
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unreachable_database_is_one_line_without_the_password(console: Console) -> None:
    url = "postgresql://someone:hush-hush@127.0.0.1:1/ops"
    result = console.run("migrate", OPS_DATABASE_URL=url, OPS_OWNER_DATABASE_URL=url)

    assert result.returncode == 2
    assert "127.0.0.1:1" in result.stderr
    assert "hush-hush" not in result.stderr + result.stdout
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.services
def test_migrate_brings_the_heartbeat_into_both_databases_and_is_safe_to_repeat(
    ops_databases: OpsDatabases, tmp_path: Path
) -> None:
    """The ops database is a stanza too: without the footprint its RPO would stay unknown."""
    cluster = ops_databases.cluster
    with cluster.superuser() as superuser:
        ensure_database(superuser, "fresh_ops", "ops_owner", CLIENT_ROLES)
        ensure_database(superuser, "fresh_product", "ops_owner", CLIENT_ROLES)
    urls = {
        "OPS_DATABASE_URL": cluster.url("ops_worker", "fresh_ops"),
        "OPS_OWNER_DATABASE_URL": cluster.url("ops_owner", "fresh_ops"),
        "OPS_PRODUCT_OWNER_DATABASE_URL": cluster.url("ops_owner", "fresh_product"),
    }
    first, second = (run("migrate", state=tmp_path, **urls) for _ in range(2))

    assert first.returncode == 0, first.stderr
    assert second.stdout.count("already current") == 3, second.stdout + second.stderr
    where = f"127.0.0.1:{cluster.port}"
    assert second.stderr.splitlines() == [
        f"about to change the ops database {where}/fresh_ops",
        f"about to change the product database {where}/fresh_product",
    ]
    assert "ops_owner" not in second.stderr
    for name in ("fresh_ops", "fresh_product"):
        with cluster.superuser(name) as superuser:
            found = superuser.execute("SELECT to_regclass('ops_platform.heartbeats') IS NOT NULL").fetchone()
        assert found == (True,), name


def test_debug_shows_the_traceback(console: Console) -> None:
    result = console.run("--debug", "migrate")

    assert result.returncode == 2
    assert "Traceback" in result.stderr


def test_what_a_table_shows_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("[red]title[/]", ("name", "value"), [("[red]a", "[/]"), ("[/nothing]", "b[bold]c")])
    shown = capsys.readouterr().out
    for text in ("[red]title[/]", "[red]a", "[/]", "[/nothing]", "b[bold]c"):
        assert text in shown


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00+14:00", "9999-12-31T23:00", "9999-12-31T23:00-14:00", "20260-01-01T00:00"]
)
def test_absurd_times_are_one_line_and_exit_2(console: Console, time: str) -> None:
    for command in (
        ["slo", "compute", "--from", time, "--to", "2026-01-01T00:00"],
        ["slo", "exclusion", "add", "--service", "api", "--from", time, "--to", time, "--reason", "r"],
    ):
        result = console.run(*command)
        assert result.returncode == 2, result.stderr
        assert "is not a time" in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_a_user_without_a_name_is_known_by_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    # No entry of passwd, as in a container that runs as any number.
    monkeypatch.setattr(os, "getuid", lambda: 1_234_567)
    assert user() == "uid-1234567"
    assert operator().startswith("cli:uid-1234567@")


@pytest.mark.services
def test_errors_of_the_database_are_one_line(ops_databases: OpsDatabases, tmp_path: Path) -> None:
    cluster = ops_databases.cluster
    with cluster.superuser() as superuser:
        ensure_database(superuser, "without_schema", "ops_owner", CLIENT_ROLES)
    url = {"OPS_DATABASE_URL": cluster.url("ops_worker", "without_schema")}
    for command in (["report"], ["exclusion", "list"], ["exclusion", "withdraw", "99999999999999999999"]):
        result = run("slo", *command, state=tmp_path, **url)
        assert result.returncode == 2, result.stderr
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert "ops-platform migrate" in result.stderr


def test_figures_are_readable() -> None:
    assert [size(0), size(1023), size(1024), size(5 * 2**30), size(None)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5.0 GiB",
        "-",
    ]
    assert [duration(0.2), duration(75), duration(7260), duration(None)] == [
        "0.2 s",
        "1 min 15 s",
        "2 h 1 min",
        "unknown",
    ]
    assert moment("2026-03-01T01:00:00+01:00") == "2026-03-01 00:00:00Z"


BROKEN = """
import click
from ops_platform.cli import cli, main
@cli.command("breaks")
def breaks() -> None:
    if {ours}:
        while True:
            click.echo("a line")
    raise BrokenPipeError(32, "Broken pipe")
main()
"""


@pytest.mark.processes
@pytest.mark.parametrize(("ours", "code"), [(True, 0), (False, 1)])
def test_only_a_reader_that_went_away_is_no_failure(ours: bool, code: int) -> None:
    """The pipe of ``| head`` may break; the socket of a server may not."""
    program = [sys.executable, "-c", BROKEN.format(ours=ours), "breaks"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        if ours:
            assert running.stdout.readline() == "a line\n"
            running.stdout.close()
        assert running.wait(60) == code
        assert ("BrokenPipeError" in running.stderr.read()) is not ours
