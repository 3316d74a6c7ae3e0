"""Services of a stack in the order of their start, each with its readiness check."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ops_platform.clients.json_http import JsonService
from ops_platform.local import environment
from ops_platform.local.components import Components
from ops_platform.local.host import programs
from ops_platform.local.servers import (
    START_SECONDS,
    STOP_SECONDS,
    ObjectStoreServer,
    PostgresCluster,
    code_server_answers,
    daemon_is_healthy,
    mail_sink,
    webserver_answers,
)
from ops_platform.local.supervision import Service

STORAGE, OBSERVERS, DAGSTER = 1, 2, 3
"""Stages. Between the first two the databases, buckets and schemas are set up."""


def services(components: Components, chosen: Mapping[str, str]) -> list[Service]:
    """List all services in the order of their start; configuration files must exist."""
    return [*_storage(components), *_observers(components, chosen), *_dagster(components, chosen)]


def _storage(components: Components) -> list[Service]:
    redis, second = components.redis, components.second_store
    return [
        _postgres(components.product, "product PostgreSQL"),
        _postgres(components.ops, "ops PostgreSQL"),
        _object_store("object-store", components.object_store, "SeaweedFS, S3 over TLS"),
        *(
            [_object_store("second-object-store", second, "another one, for the second repository")]
            if second
            else []
        ),
        Service(
            name="redis",
            stage=STORAGE,
            command=redis.command(),
            ready=redis.is_ready,
            ports={"redis": redis.port},
            address=redis.url,
            environment=_base(),
            directory=redis.data_dir,
            config_files=[redis.config_file, redis.certificate.certificate],
            note="Redis over TLS",
        ),
    ]


def _object_store(name: str, store: ObjectStoreServer, note: str) -> Service:
    return Service(
        name=name,
        stage=STORAGE,
        command=store.command(),
        ready=store.is_ready,
        ports={port: store.ports[port] for port in store.port_names},
        address=store.endpoint_url,
        environment=store.process_environment(),
        directory=store.data_dir,
        stop_seconds=STOP_SECONDS,
        start_seconds=START_SECONDS,
        config_files=[store.identities_file, store.certificate.certificate],
        note=note,
    )


def _postgres(cluster: PostgresCluster, note: str) -> Service:
    return Service(
        name=f"{cluster.name}-postgres",
        stage=STORAGE,
        command=cluster.command(),
        ready=cluster.answers_over_tls,
        ports={cluster.name: cluster.port},
        address=f"postgresql://127.0.0.1:{cluster.port}/{cluster.name}",
        environment=cluster.process_environment(),
        user=cluster.account.name if cluster.account.is_other else None,
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client.
        stop_signal="INT",
        # Longer only when S3 is away and the archiver waits for it; the checkpoint is done by then.
        stop_seconds=30,
        start_seconds=120,
        note=note,
    )


def _observers(components: Components, chosen: Mapping[str, str]) -> list[Service]:
    prometheus, alertmanager = components.prometheus, components.alertmanager
    mail_port = components.ports["mail"]
    return [
        Service(
            name="prometheus",
            stage=OBSERVERS,
            command=prometheus.command(),
            ready=prometheus.is_ready,
            ports={"prometheus": prometheus.port},
            address=prometheus.url,
            environment=_base(),
            directory=prometheus.data_dir,
            stop_seconds=30,
            config_files=prometheus.config_files(),
            note="metrics of 95 days",
        ),
        Service(
            name="alertmanager",
            stage=OBSERVERS,
            command=alertmanager.command(),
            ready=alertmanager.is_ready,
            ports={"alertmanager": alertmanager.port},
            address=alertmanager.url,
            environment=_base(),
            directory=alertmanager.data_dir,
            config_files=[alertmanager.config_file],
            note="alerts",
        ),
        Service(
            name="mail",
            stage=OBSERVERS,
            command=_module(
                "ops_platform.local.servers.mail_sink",
                f"--port={mail_port}",
                f"--maildir={components.layout.mail}",
            ),
            ready=lambda: mail_sink.is_ready(mail_port),
            ports={"mail": mail_port},
            address=f"smtp://127.0.0.1:{mail_port}",
            environment=environment.process({}),
            note=f"mail is kept in {components.layout.mail}",
        ),
        Service(
            name="traffic",
            stage=OBSERVERS,
            command=_module("ops_platform.local.demo.traffic"),
            ready=_http(components.url("traffic"), "/metrics"),
            ports={"traffic": components.ports["traffic"]},
            address=f"{components.url('traffic')}/metrics",
            environment=environment.process(environment.traffic(components, chosen)),
            note="the demo product's application",
        ),
        Service(
            name="agent",
            stage=OBSERVERS,
            command=_module("ops_platform.agent"),
            ready=_http(components.url("agent"), "/healthz"),
            ports={"agent": components.ports["agent"]},
            address=f"{components.url('agent')}/metrics",
            environment=environment.process(environment.agent(components, chosen)),
            stop_seconds=20,
            note="heartbeats, metrics, seals, mail",
        ),
        Service(
            name="api",
            stage=OBSERVERS,
            command=_module("ops_platform.api"),
            ready=_http(components.api_url, "/readyz", components.certificates.ca_file),
            ports={"api": components.ports["api"], "api-metrics": components.ports["api-metrics"]},
            address=components.api_url,
            environment=environment.process(environment.api(components, chosen)),
            config_files=[components.api_certificate.certificate, components.jwks_file],
            note="data subjects' requests over TLS",
        ),
    ]


def _dagster(components: Components, chosen: Mapping[str, str]) -> list[Service]:
    values = environment.process(environment.dagster(components, chosen))
    home = components.layout.dagster_home
    files = [home / "dagster.yaml", home / "workspace.yaml"]
    code_port = components.ports["code-server"]

    def webserver(name: str, note: str, *options: str) -> Service:
        socket = components.webserver_socket(name)
        workspace = str(home / "workspace.yaml")
        return Service(
            name=name,
            stage=DAGSTER,
            command=_module(
                "ops_platform.defs.webserver", f"--socket={socket}", f"--workspace={workspace}", *options
            ),
            ready=lambda: webserver_answers(socket),
            address=f"unix:{socket}",
            environment=values,
            directory=home,
            start_seconds=120,
            config_files=files,
            note=note,
        )

    return [
        Service(
            name="code-server",
            stage=DAGSTER,
            command=[
                programs.find("dagster"),
                "api",
                "grpc",
                "--module-name=ops_platform.definitions",
                "--host=127.0.0.1",
                f"--port={code_port}",
                "--location-name=ops_platform",
                "--use-python-environment-entry-point",
            ],
            ready=lambda: code_server_answers(code_port),
            ports={"code-server": code_port},
            address=f"grpc://127.0.0.1:{code_port}",
            environment=values,
            directory=home,
            # Runs are its children: they are told to end, and pgBackRest with them.
            stop_seconds=25,
            start_seconds=120,
            config_files=files,
            note="Dagster code server; runs are its children",
        ),
        webserver("webserver", "the UI, behind the guard"),
        webserver("webserver-readonly", "the UI for auditors and viewers", "--read-only"),
        Service(
            name="guard",
            stage=DAGSTER,
            command=_module("ops_platform.guard"),
            ready=_http(components.url("webserver"), "/guard/health"),
            ports={name: components.ports[name] for name in ("webserver", "webserver-readonly")},
            address=components.url("webserver"),
            environment=environment.process(environment.guard(components, chosen)),
            note="asks who is there, before both webservers",
        ),
        Service(
            name="daemon",
            stage=DAGSTER,
            command=[programs.find("dagster-daemon"), "run", f"--workspace={home / 'workspace.yaml'}"],
            ready=lambda: daemon_is_healthy(components.webserver_socket("webserver")),
            environment=values,
            directory=home,
            stop_seconds=30,
            start_seconds=120,
            config_files=files,
            note="schedules, sensors, the run queue",
        ),
    ]


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def _base() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "LANG": "C.UTF-8"}


def _http(url: str, path: str, ca_file: Path | None = None) -> Callable[[], bool]:
    def ready() -> bool:
        with JsonService("service", url, ca_file=ca_file, timeout_seconds=5) as service:
            return service.answers(path)

    return ready
