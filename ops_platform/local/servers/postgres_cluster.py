"""One PostgreSQL cluster: initialised, configured, started, stopped. It knows nothing of other services."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import psutil
import psycopg

from ops_platform.clients.safe_errors import program_last_line, why
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import OpsError, Unavailable
from ops_platform.local.host import Account, PostgresPrograms, SecretStore, ServerCertificate, write_private
from ops_platform.local.servers.postgres_roles import PostgresRoles

SUPERUSER = "postgres"
STOP_SECONDS = 60
START_SECONDS = 60

_HBA = """\
# Written by ops_platform: local connections by operating-system user, all others over TLS.
local   all  all                peer map=ops_platform
hostssl all  all  127.0.0.1/32  scram-sha-256
hostssl all  all  ::1/128       scram-sha-256
"""


@dataclass(frozen=True)
class PostgresCluster:
    """A cluster with its own directory, port and account. ``name`` is also its pgBackRest stanza.

    ``archive_config`` is the pgBackRest configuration that archive-push reads; None turns
    archiving off. ``settings`` override the defaults of postgresql.conf.
    """

    name: str
    data_dir: Path
    socket_dir: Path
    port: int
    programs: PostgresPrograms
    account: Account
    certificate: ServerCertificate
    ca_file: Path
    secrets: SecretStore
    log_file: Path
    database: str = "postgres"
    """Database of ``url`` when none is named."""
    archive_config: Path | None = None
    pgbackrest: str = "pgbackrest"
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    """Extra variables of the postmaster's otherwise clean environment."""
    segment_megabytes: int = 16
    """Size of a WAL segment, for initdb."""
    peers: tuple[str, ...] = ()
    """Roles that the invoking user may log in as over the Unix socket, without a password."""

    @property
    def roles(self) -> PostgresRoles:
        """Login roles with their pgpass files."""
        return PostgresRoles(self.name, self.port, self.ca_file, self.secrets)

    def url(self, role: str = "ops_worker", database: str | None = None) -> str:
        """Make the URL of ``role`` over verified TLS, without a password (a pgpass file holds it)."""
        return self.roles.url(role, database or self.database)

    def socket_url(self, role: str, database: str) -> str:
        """Make the URL of one of ``peers`` over the Unix socket: neither handshake nor password."""
        place = urlencode({"host": str(self.socket_dir), "port": self.port})
        return f"postgresql://{role}@/{database}?{place}"

    def superuser_dsn(self, database: str = "postgres") -> str:
        """Make the superuser's connection string over the Unix socket, for the invoking user."""
        return f"host={self.socket_dir} port={self.port} user={SUPERUSER} dbname={database} connect_timeout=5"

    def superuser(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Open an autocommit superuser connection. Raises Unavailable."""
        try:
            return psycopg.connect(self.superuser_dsn(database), autocommit=True)
        except psycopg.OperationalError as error:
            raise Unavailable(
                f"PostgreSQL cluster {self.name} does not answer: {why(error)}; see {self.log_file}"
            ) from None

    # --- initialising -------------------------------------------------------------------------------

    def initialise(self) -> bool:
        """Create the cluster when there is none, and bring its configuration up to date.

        Returns whether configuration files changed. initdb works beside the data directory, which is
        renamed into place: a killed initdb leaves no half-made cluster there.
        """
        self.account.directory(self.socket_dir, 0o711)
        if not (self.data_dir / "PG_VERSION").exists():
            self._initdb()
        return self.configure()

    def _initdb(self) -> None:
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        building = self.data_dir.with_name(f"{self.data_dir.name}.building")
        if building.exists():
            subprocess.run(["rm", "-rf", "--", str(building)], check=True)
        self.account.directory(building)
        self._run(
            "initdb",
            f"--pgdata={building}",
            f"--username={SUPERUSER}",
            "--data-checksums",
            f"--wal-segsize={self.segment_megabytes}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth=peer",
            "--no-instructions",
            *([] if self.settings.get("fsync") != "off" else ["--no-sync"]),
        )
        building.rename(self.data_dir)

    def configure(self) -> bool:
        """Write postgresql.conf, pg_hba.conf and pg_ident.conf; True when one of them changed."""
        lines = [f"{name} = {_quote(value)}" for name, value in self._parameters().items()]
        invoking_user = psutil.Process().username()
        peers = {(invoking_user, role) for role in (SUPERUSER, *self.peers)}
        pairs = sorted(peers | {(self.account.name, SUPERUSER), (self.account.name, "ops_backup")})
        ident = "".join(f"ops_platform  {system}  {role}\n" for system, role in pairs)
        changed = False
        for name, text in (
            (
                "postgresql.conf",
                "# Written by ops_platform; use ALTER SYSTEM to change.\n" + "\n".join(lines) + "\n",
            ),
            ("pg_hba.conf", _HBA),
            ("pg_ident.conf", ident),
        ):
            path = self.data_dir / name
            if write_private(path, text):
                changed = True
            self.account.own(path)
        return changed

    def _parameters(self) -> dict[str, str]:
        values = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_dir),
            "max_connections": "100",
            "shared_buffers": "128MB",
            "password_encryption": "scram-sha-256",
            "ssl": "on",
            "ssl_cert_file": str(self.certificate.certificate),
            "ssl_key_file": str(self.certificate.key),
            "ssl_min_protocol_version": "TLSv1.2",
            "wal_level": "replica",
            "max_wal_size": "1GB",
            "archive_timeout": "60",
            "archive_mode": "on",
            "archive_command": self.archive_command(),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            # Statements and error details quote data; the log must not hold personal data.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        if self.archive_config is None:
            values |= {"archive_mode": "off", "archive_command": ""}
        return values | dict(self.settings)

    def archive_command(self) -> str:
        """Make the value of archive_command; empty without archiving."""
        if self.archive_config is None:
            return ""
        words = [self.pgbackrest, f"--config={self.archive_config}", f"--stanza={self.name}", "archive-push"]
        return " ".join(shlex.quote(word).replace("%", "%%") for word in words) + " %p"

    # --- running --------------------------------------------------------------------------------

    def command(self) -> list[str]:
        """Make the command line of the postmaster in the foreground."""
        return [self.programs.path("postgres"), "-D", str(self.data_dir)]

    def process_environment(self) -> dict[str, str]:
        """Make a clean environment: no PGBACKREST_* (they beat its configuration file), no PG*."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": self.account.home,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            **self.environment,
        }

    def start(self, timeout: float = START_SECONDS) -> None:
        """Start the postmaster as a child of this process and wait until it answers queries.

        Raises Unavailable.
        """
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.process_environment(),
                start_new_session=True,
                cwd="/",
                **self.account.subprocess_arguments(),
            )

        def up() -> bool:
            if process.poll() is not None:
                raise Unavailable(
                    f"PostgreSQL cluster {self.name} ended with code {process.returncode}: {self._log_tail()}"
                )
            return self.is_ready()

        wait_until(up, timeout, f"PostgreSQL cluster {self.name} answers", hint=f"see {self.log_file}")

    def is_ready(self) -> bool:
        """Tell whether the server answers queries over its socket."""
        try:
            with psycopg.connect(self.superuser_dsn(), autocommit=True) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def answers_over_tls(self) -> bool:
        """Tell whether a client over verified TLS gets an answer.

        Before the roles are set up that is a refused login, which counts.
        """
        try:
            with psycopg.connect(self.url("ops_worker", "postgres"), connect_timeout=5) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            refused = ("password authentication failed", "no password supplied")
            return any(phrase in why(error) for phrase in refused) and self.is_ready()
        return True

    def postmaster(self) -> psutil.Process | None:
        """Find the running postmaster of this data directory; None without one."""
        try:
            pid = int((self.data_dir / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
            process = psutil.Process(pid)
            # After a kill -9 the file is stale and its pid may by now belong to anybody.
            is_ours = process.name().startswith("postgres") and str(self.data_dir) in process.cmdline()
        except (OSError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return process if is_ours and process.status() != psutil.STATUS_ZOMBIE else None

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Shut down fast. Raises Unavailable when the server still runs after ``timeout`` seconds."""
        self._end(signal.SIGINT, timeout)

    def kill(self) -> None:
        """Kill the postmaster and its children (kill -9), as a crash would."""
        process = self.postmaster()
        if process is None:
            return
        children = process.children(recursive=True)
        for victim in [process, *children]:
            _kill(victim)
        self._wait_gone([process, *children], STOP_SECONDS)

    def end_orphans(self) -> int:
        """Kill children whose postmaster is gone; return their number.

        They end by themselves, but the archiver only when its archive-push has given up, minutes
        after S3 went away, and until then no new postmaster gets the shared memory.
        """
        orphans = [process for process in psutil.process_iter() if self._is_orphan(process)]
        for process in orphans:
            _kill(process)
        self._wait_gone(orphans, STOP_SECONDS)
        return len(orphans)

    def _is_orphan(self, process: psutil.Process) -> bool:
        try:
            if process.name() != "postgres" or process.cwd() != str(self.data_dir):
                return False
            parent = process.parent()
            return str(self.data_dir) not in process.cmdline() and (
                parent is None or parent.name() != "postgres"
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def reload(self) -> None:
        """Let a running server read its configuration again."""
        process = self.postmaster()
        if process is not None:
            process.send_signal(signal.SIGHUP)

    def _end(self, number: signal.Signals, timeout: float) -> None:
        process = self.postmaster()
        if process is not None:
            process.send_signal(number)
            self._wait_gone([process], timeout)

    def _wait_gone(self, processes: list[psutil.Process], timeout: float) -> None:
        def gone() -> bool:
            return not any(_alive(process) for process in processes)

        wait_until(gone, timeout, f"PostgreSQL cluster {self.name} ends", interval=0.05)

    def control_data(self) -> dict[str, str]:
        """Read the output of pg_controldata: label -> value. Raises OpsError."""
        lines = self._run("pg_controldata", f"--pgdata={self.data_dir}").splitlines()
        return {label.strip(): value.strip() for label, _, value in (line.partition(":") for line in lines)}

    def _run(self, program: str, *arguments: str) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [self.programs.path(program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self.process_environment(),
            cwd="/",
            **self.account.subprocess_arguments(),
        )
        if done.returncode:
            raise OpsError(f"{program} of cluster {self.name} failed: {program_last_line(done.stderr)}")
        return done.stdout

    def _log_tail(self) -> str:
        try:
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return program_last_line(lines[-1]) if lines else f"see {self.log_file}"


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _alive(process: psutil.Process) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            # Our own child: reap it, so that its pid is not seen any more.
            if process.ppid() == os.getpid():
                os.waitpid(process.pid, os.WNOHANG)
            return False
        return process.is_running()
    except (psutil.NoSuchProcess, ChildProcessError):
        return False


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
