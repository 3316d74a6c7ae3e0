"""Which queue of Celery a run goes to, who listens there, and deploy/celery that says the same."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import LaunchRunContext
from dagster_celery.launcher import CeleryRunLauncher
from kombu.exceptions import OperationalError

from ops_platform import files
from ops_platform.defs.celery_engine.__main__ import SLOTS
from ops_platform.defs.celery_engine.celery_launcher import CeleryLauncher
from ops_platform.defs.celery_engine.queues import queue_of, queues_of
from ops_platform.settings import load_settings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy" / "celery"


@pytest.mark.parametrize(
    ("run", "queue"),
    [
        (
            dg.DagsterRun(job_name="j", tags={"duty": "backup"}, run_config={"stanza": "product@offsite"}),
            "backup.product",
        ),
        (dg.DagsterRun(job_name="j", tags={"duty": "dr", "ops/stanza": "ops"}), "dr.ops"),
        (dg.DagsterRun(job_name="j", tags={"duty": "dr"}), "dr"),
        (dg.DagsterRun(job_name="j", tags={"duty": "gdpr"}, run_config={"stanza": "product"}), "gdpr"),
        # Assets that somebody materialises in the UI.
        (
            dg.DagsterRun(
                job_name="__ASSET_JOB", asset_selection=frozenset({dg.AssetKey(["dr", "product", "latest"])})
            ),
            "dr.product",
        ),
        (
            dg.DagsterRun(
                job_name="__ASSET_JOB", asset_selection=frozenset({dg.AssetKey(["slo", "compliance"])})
            ),
            "slo",
        ),
        (dg.DagsterRun(job_name="j"), "housekeeping"),
        (dg.DagsterRun(job_name="j", tags={"duty": "unheard of"}), "housekeeping"),
    ],
)
def test_each_run_has_a_queue(run: dg.DagsterRun, queue: str) -> None:
    assert queue_of(run) == queue


def test_a_host_listens_to_the_queues_of_its_duties_and_stanzas() -> None:
    host = load_settings({"OPS_STATE_DIR": "/nonexistent", "OPS_DUTIES": "backup,slo"}).host
    assert queues_of(host, ["product"]) == ["backup", "backup.product", "slo"]
    whole = queues_of(load_settings({"OPS_STATE_DIR": "/nonexistent"}).host, ["product", "ops"])
    assert len(whole) == len(set(whole)) == 5 + 2 * 2


def test_the_deployment_is_the_usual_one_but_for_what_celery_changes() -> None:
    usual = yaml.safe_load(files.carried("dagster.yaml").read_text(encoding="utf-8"))
    celery = yaml.safe_load((DEPLOY / "dagster.yaml").read_text(encoding="utf-8"))
    changed = {"run_coordinator", "concurrency", "run_launcher"}
    assert {name for name in usual if usual[name] != celery[name]} == changed
    assert usual.keys() == celery.keys()


def test_a_queue_is_given_as_many_runs_as_a_worker_has_slots() -> None:
    runs = yaml.safe_load((DEPLOY / "dagster.yaml").read_text(encoding="utf-8"))["concurrency"]["runs"]
    limits = {limit["key"]: limit for limit in runs["tag_concurrency_limits"]}
    started = re.search(r"celery_engine (\d+)$", (DEPLOY / "ops-celery-worker.service").read_text(), re.M)
    assert started is not None
    assert limits["dagster-celery/queue"]["limit"] == int(started[1]) == SLOTS
    assert limits["dagster-celery/queue"]["value"] == {"applyLimitPerUniqueValue": True}
    assert limits["ops/lane"]["limit"] < SLOTS
    assert runs["max_concurrent_runs"] % SLOTS == 0


def test_the_worker_is_confined_as_the_code_server_is() -> None:
    code_server = (ROOT / "deploy" / "systemd" / "ops-code-server.service").read_text(encoding="utf-8")
    worker = (DEPLOY / "ops-celery-worker.service").read_text(encoding="utf-8")
    others = ("Description=", "Documentation=", "ExecStart=", "# The worker alone", "KillMode=mixed")
    assert [line for line in worker.splitlines() if not line.startswith(others)] == [
        line for line in code_server.splitlines() if not line.startswith(others)
    ]


def launcher(tmp_path: Path) -> CeleryLauncher:
    password = tmp_path / "password"
    password.write_text("p/@ss\n", encoding="utf-8")
    return CeleryLauncher("rediss://redis.example.com:6379/0", str(password), "/ca.pem")


def test_the_broker_is_asked_with_its_password_over_tls_that_is_checked(tmp_path: Path) -> None:
    conf = launcher(tmp_path).celery.conf
    assert conf.broker_url == "rediss://:p%2F%40ss@redis.example.com:6379/0"
    assert conf.broker_use_ssl == {"ssl_cert_reqs": 2, "ssl_check_hostname": True, "ssl_ca_certs": "/ca.pem"}


@pytest.mark.parametrize(
    ("listened", "said"),
    [
        ([{"name": "gdpr"}], "no worker of Celery listens to the queue backup.product"),
        (OperationalError("away"), "the broker of Celery does not answer"),
        ([{"name": "gdpr"}, {"name": "backup.product"}], None),
    ],
)
def test_a_run_that_nobody_would_take_waits(
    listened: object, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = []

    class Inspect:
        def active_queues(self) -> object:
            if isinstance(listened, Exception):
                raise listened
            return {"ops@host": listened}

    made = launcher(tmp_path)
    monkeypatch.setattr(made.celery.control, "inspect", lambda timeout: Inspect())
    monkeypatch.setattr(CeleryRunLauncher, "launch_run", lambda _, context: launched.append(context))
    context = LaunchRunContext(
        dg.DagsterRun(job_name="j", tags={"dagster-celery/queue": "backup.product"}), None
    )
    if said is None:
        made.launch_run(context)
    else:
        with pytest.raises(DagsterUserCodeUnreachableError, match=said):
            made.launch_run(context)
    assert len(launched) == (said is None)
