"""The embedded stack as a whole: up, down, status, logs, environment.

Its components are built in ``components`` and ordered in ``start_order``; ``supervision`` keeps them alive.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ops_platform import files
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform.local import components, environment, guard_accounts
from ops_platform.local.components import SECOND_STORE, Components
from ops_platform.local.host import Layout, account, ports
from ops_platform.local.progress import Progress
from ops_platform.local.servers import PostgresCluster
from ops_platform.local.start_order import DAGSTER, OBSERVERS, STORAGE, services
from ops_platform.local.supervision import Program, Service, ServiceStatus, Supervisor, leftovers, log_files
from ops_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.console import Console

START_ATTEMPTS = 4
"""Failed starts in a row that ``up`` waits through (with supervisord's pauses, about ten seconds): a
PostgreSQL that was killed refuses to start until its last children are gone."""
LOOK_SECONDS = 0.3
"""Pause between two looks at a service that starts: each takes from the CPUs on which it starts."""
_STATES = {"RUNNING": "running", "STARTING": "starting", "BACKOFF": "failing", "FATAL": "failed"}


def up(settings: Settings, console: Console, only: Sequence[str] = ()) -> None:
    """Start the services that do not run, set up what is missing, take the first backups, print the URLs.

    With ``only``, start these services of a stack that was up before, and do nothing else. Raises
    ConfigurationError (missing program, taken port, unusable directory, lost data directory)
    before anything is started, OpsError when a service does not get ready.
    """
    from ops_platform.local.demo_history import wanted_days

    components.required_programs(settings.pgbackrest.binary)
    wanted_days(settings)
    layout = _layout(settings)
    if only and not layout.environment_file.exists():
        raise ConfigurationError(f"there is no stack in {layout.state_dir}: start all of it with 'up' first")
    layout.prepare()
    with _alone(layout):
        stack, progress = Stack(layout, settings), Progress(console)
        if only:
            for name in only:
                progress.started(name, stack.start_only(name, progress), already=False)
            progress.done()
        else:
            stack.up(progress)


def down(settings: Settings, console: Console, only: Sequence[str] = ()) -> None:
    """Stop everything that the stack started or left over; or ``only`` these services.

    The state stays. Raises ConfigurationError when there is no such service.
    """
    layout = _layout(settings)
    if not layout.stack_id_file.exists():
        console.print(f"nothing runs: there is no stack in {layout.state_dir}", markup=False)
        return
    with _alone(layout):
        stack = Stack(layout, settings)
        if only:
            stack.stop_only(only, Progress(console))
        else:
            stack.down(Progress(console))


def start_cluster(settings: Settings, stanza: str, data_dir: Path, console: Console) -> str | None:
    """Start the PostgreSQL service that runs in ``data_dir``, and nothing else; return its address.

    None when that is no directory of an embedded stack: somebody else starts it. Raises OpsError when
    it does not get ready.
    """
    layout = _layout(settings)
    if not layout.stack_id_file.exists() or layout.postgres_data(stanza) != data_dir.resolve():
        return None
    with _alone(layout):
        return Stack(layout, settings).start_only(f"{stanza}-postgres", Progress(console))


def status(settings: Settings) -> list[ServiceStatus]:
    """Read the status of each service; empty when there is no stack in the state directory."""
    layout = _layout(settings)
    if not layout.stack_id_file.exists() or not layout.environment_file.exists():
        return []
    return Stack(layout, settings).status()


def logs(settings: Settings, service: str | None, *, lines: int = 50, follow: bool = False) -> Iterator[str]:
    """Read the last lines of a service's log, and new ones if ``follow``; without a service, the names."""
    return log_files.read(_layout(settings).logs, service, lines=lines, follow=follow)


def environment_lines(settings: Settings) -> list[str]:
    """Make ``export`` lines for a shell. Raises ConfigurationError when there is no stack."""
    file = _layout(settings).environment_file
    if not file.exists():
        raise ConfigurationError(
            f"there is no stack in {settings.state_dir}: start one with 'ops-platform up'"
        )
    return environment.export_lines(file)


class Stack:
    """Stack of one state directory, with the operator's choices for it."""

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self._layout = layout
        self._chosen = environment.choices(settings)
        self._base = _port_base(settings)
        self._pgbackrest = settings.pgbackrest.binary
        self._supervisor = Supervisor(layout, components.stack_id(layout))

    @property
    def _config_dir(self) -> Path:
        chosen = self._chosen.get("OPS_CONFIG_DIR")
        return Path(chosen) if chosen else files.default_config_dir()

    def _build(self, numbers: Mapping[str, int]) -> Components:
        return components.build(self._layout, numbers, self._config_dir, self._pgbackrest)

    def _ports(self, base: int | None) -> dict[str, int]:
        """Read the ports kept, and assign those that are missing, or all for another base."""
        return ports.load(self._layout.ports_file, components.port_names(self._config_dir), base)

    # --- up -----------------------------------------------------------------------------------------

    def up(self, progress: Progress) -> None:
        """Start and set up everything that is missing."""
        # What only a first start needs is most of what there is to load.
        from ops_platform.local import bootstrap_runs, first_setup
        from ops_platform.local.demo_history import DemoHistory

        numbers = self._ports(self._base)
        running = self._running()
        is_first = not self._layout.environment_file.exists()
        if running:
            self._refuse_other_ports(numbers)
        else:
            self._end_leftovers(progress)
        self._refuse_lost_data()
        built = self._build(numbers)
        built.secrets.prepare()
        ports.require_free(self._idle_ports(numbers, running))
        ports.save(self._layout.ports_file, numbers)
        progress.say("configuration")
        built.prepare()
        first_setup.dagster_home(built)
        environment.write(built, self._chosen)
        wanted = services(built, self._chosen)
        self._supervisor.apply(wanted, lambda names: self._stop(names, progress))
        settings = load_settings(environment.operator(built, self._chosen))
        self._start(wanted, STORAGE, progress, (built.product, built.ops))
        first_setup.roles(built, progress.step)
        first_setup.buckets(built, progress.step)
        first_setup.repository(settings, progress.step)
        first_setup.databases(built, progress.step)
        first_setup.dagster_storage(built, self._chosen, progress.step)
        # Now, so that its blocks are there when Prometheus starts: it looks for new ones once a minute.
        history = DemoHistory(built, settings, progress.say)
        history.begin()
        first_setup.demo(built, settings, progress.step)
        first_setup.references(settings, progress.step)
        self._start(wanted, OBSERVERS, progress)
        self._start(wanted, DAGSTER, progress)
        history.count()
        missing = bootstrap_runs.without_full_backup(settings, first_setup.STANZAS)
        if missing:
            progress.say(f"first full backup of {' and '.join(missing)}")
            bootstrap_runs.take(settings, missing, progress.runs)
        history.finish(progress.step)
        progress.done()
        _print_urls(progress.console, built, is_first=is_first)

    def start_only(self, name: str, progress: Progress) -> str:
        """Start one service under the supervisor, which is started if need be; return its address."""
        numbers = self._ports(self._base)
        built = self._build(numbers)
        wanted = services(built, self._chosen)
        service = next((candidate for candidate in wanted if candidate.name == name), None)
        if service is None:
            raise _no_service([name], [candidate.name for candidate in wanted])
        self._refuse_lost_data(name)
        if not self._running():
            # A killed supervisor's services would run unsupervised beside a new one, and hold its ports.
            self._end_leftovers(progress)
        self._supervisor.apply(wanted, lambda names: self._stop(names, progress))
        self._supervisor.start(name)
        self._wait_ready(service)
        return service.address

    def _start(
        self,
        wanted: Sequence[Service],
        stage: int,
        progress: Progress,
        clusters: Sequence[PostgresCluster] = (),
    ) -> None:
        chosen = [service for service in wanted if service.stage == stage]
        before = self._supervisor.programs()
        for cluster in clusters:
            if cluster.end_orphans():
                progress.say(f"ended children of {cluster.name}'s killed PostgreSQL")
        for service in chosen:
            if before[service.name].state not in ("RUNNING", "STARTING"):
                self._supervisor.start(service.name)
        for service in chosen:
            progress.step(service.name, None)
            self._wait_ready(service)
            progress.started(service.name, service.address, before[service.name].state == "RUNNING")

    def _wait_ready(self, service: Service) -> None:
        ended: set[int] = set()

        def ready() -> bool:
            program = self._supervisor.programs().get(service.name)
            if program is not None and program.state == "BACKOFF":
                ended.add(program.ended_at)
            if program is None or program.state == "FATAL" or len(ended) > START_ATTEMPTS:
                raise OpsError(f"{service.name} does not start: {self._last_line(service.name)}")
            return program.state in ("RUNNING", "STARTING") and service.ready()

        try:
            wait_until(ready, service.start_seconds, f"{service.name} gets ready", interval=LOOK_SECONDS)
        except Unavailable as error:
            raise Unavailable(f"{error}; its log ends: {self._last_line(service.name)}") from None

    def _last_line(self, name: str) -> str:
        return log_files.last_word(self._layout.log(name))

    def _idle_ports(self, numbers: Mapping[str, int], running: Mapping[str, Program]) -> dict[str, int]:
        """List the ports that a service of ours will need but does not hold now."""
        live = {name for name, program in running.items() if program.state in ("RUNNING", "STARTING")}
        held = {port for name in live for port in _PORTS_OF.get(name, (name,))}
        return {name: number for name, number in numbers.items() if name not in held}

    def _refuse_other_ports(self, numbers: Mapping[str, int]) -> None:
        if numbers != self._ports(None):
            raise ConfigurationError(
                f"the stack in {self._layout.state_dir} runs on other ports: 'ops-platform down' first, "
                "or leave OPS_PORT_BASE as it was"
            )

    def _refuse_lost_data(self, only: str | None = None) -> None:
        """Refuse to make an empty cluster in the place of a lost one: its backups could not go on.

        ``only``: look at the cluster of this service alone.
        """
        # The environment file is written when both clusters exist.
        if not self._layout.environment_file.exists():
            return
        from ops_platform.local import first_setup

        for name in first_setup.STANZAS:
            data_dir = self._layout.postgres_data(name)
            concerned = only in (None, f"{name}-postgres")
            if concerned and not (data_dir / "PG_VERSION").exists():
                raise ConfigurationError(
                    f"the data directory of {name} is lost: 'ops-platform up object-store', then "
                    f"'ops-platform restore --stanza {name} --to {data_dir} --latest'"
                )

    def _running(self) -> dict[str, Program]:
        return self._supervisor.programs()

    # --- down ---------------------------------------------------------------------------------------

    def down(self, progress: Progress) -> None:
        """Stop everything."""
        programs = self._supervisor.programs()
        self._stop(list(programs), progress)
        if programs:
            self._supervisor.shutdown()
        self._end_leftovers(progress)
        progress.done()
        progress.console.print(f"stopped; the state stays in {self._layout.state_dir}", markup=False)

    def stop_only(self, names: Sequence[str], progress: Progress) -> None:
        """Stop some services in the order of their dependencies; the supervisor goes on without them."""
        programs = self._supervisor.programs()
        unknown = sorted(set(names) - set(programs))
        if programs and unknown:
            raise _no_service(unknown, programs)
        self._stop([name for name in names if name in programs], progress)
        progress.done()
        progress.console.print(
            f"stopped: {', '.join(names)}; 'ops-platform up' starts them again", markup=False
        )

    def _stop(self, names: Sequence[str], progress: Progress) -> None:
        """Stop programs in the order of their dependencies, those of one rank together."""
        ranked = {name for rank in _STOP_ORDER for name in rank}
        for rank in (*_STOP_ORDER, tuple(set(names) - ranked)):
            together = [name for name in rank if name in names]
            if together:
                progress.step(f"stopping {', '.join(together)}", None)
                self._supervisor.stop(together)

    def _end_leftovers(self, progress: Progress) -> None:
        identity = self._supervisor.stack_id

        def gone() -> bool:
            processes = leftovers.find(identity, self._layout)
            leftovers.end(processes, progress.say)
            return not processes

        wait_until(gone, 180, "all processes of the stack end", interval=0.1)

    # --- status -------------------------------------------------------------------------------------

    def status(self) -> list[ServiceStatus]:
        """Read the status of each service."""
        numbers = self._ports(None)
        built = self._build(numbers)
        programs = self._supervisor.programs()
        return [_status(service, programs.get(service.name)) for service in services(built, self._chosen)]


def _no_service(unknown: Iterable[str], known: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(
        f"there is no service {', '.join(unknown)}: choose from {', '.join(sorted(known))}"
    )


_PORTS_OF = {
    "product-postgres": ("product",),
    "ops-postgres": ("ops",),
    "api": ("api", "api-metrics"),
    "guard": ("webserver", "webserver-readonly"),
    "object-store": tuple(SECOND_STORE),
    "second-object-store": tuple(SECOND_STORE.values()),
}
"""Ports of services that have several, or one with another name."""

_STOP_ORDER = (
    ("guard",),
    ("daemon", "webserver", "webserver-readonly"),
    # Runs are the code server's children; they end before what they use.
    ("code-server",),
    ("agent", "api", "traffic"),
    # PostgreSQL before S3: its last WAL still reaches the repository.
    ("product-postgres", "ops-postgres", "mail", "alertmanager", "prometheus", "redis"),
    ("object-store", "second-object-store"),
)


def _status(service: Service, program: Program | None) -> ServiceStatus:
    state = _STATES.get(program.state, "stopped") if program else "stopped"
    ready = state in ("running", "starting") and service.ready()
    if ready:
        state = "running"
    note = service.note if ready or state == "stopped" else f"{service.note} (not ready)"
    return ServiceStatus(service.name, state, program.pid if program else None, service.address, ready, note)


def _layout(settings: Settings) -> Layout:
    return Layout(Path(settings.state_dir).resolve(), account(settings.run_as))


def _port_base(settings: Settings) -> int | None:
    secret = settings.environ.get("OPS_PORT_BASE")
    text = secret.get_secret_value() if secret else ""
    if not text:
        return None
    if not text.isdecimal():
        raise ConfigurationError(f"OPS_PORT_BASE must be a number, not {text!r}")
    return int(text)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Let only one ``up`` or ``down`` work on a state directory; the kernel frees the lock of a dead one."""
    with (layout.state_dir / "stack.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(
                f"another 'up' or 'down' works on {layout.state_dir}: wait for it to end, then repeat"
            ) from None
        yield


def _print_urls(console: Console, built: Components, *, is_first: bool) -> None:
    password = built.secrets.path(guard_accounts.PASSWORD)
    # Once: a terminal is seen by others, and kept by some.
    shown = built.secrets.token(guard_accounts.PASSWORD) if is_first else f"in {password}"
    rows = (
        ("Dagster", built.url("webserver")),
        ("Dagster, read-only", built.url("webserver-readonly")),
        ("  sign in as", f"{guard_accounts.PERSON}, password {shown}"),
        ("Prometheus", built.prometheus.url),
        ("Alertmanager", built.alertmanager.url),
        ("metrics", f"{built.url('agent')}/metrics"),
        ("data subjects", f"{built.api_url}/openapi.json"),
        ("mail", str(built.layout.mail)),
    )
    for label, value in rows:
        console.print(f"{label:<20}{value}", markup=False)
