"""A restored server that only its owner can reach: started, followed through recovery, stopped.

It listens on a Unix socket in a directory of its own, archives nothing, and ends with our process. Its
files come from ``pgbackrest_restore``; its checks are in ``dr.verification``.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg

from ops_platform.backup.wal import parse_lsn
from ops_platform.clients import postgres
from ops_platform.clients.child_process import Launcher
from ops_platform.clients.postgres import Connection, PostgresPrograms
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.restore.workspace import PORT, Workspace
from ops_platform.errors import CheckFailed, Unavailable

STOP_SECONDS = 120.0
SUPERUSER = "postgres"
KNOWN_ROLE = "ops_backup"
"""A role that every stanza has: it reads the superuser's name where that is not ``postgres``."""

# Hot standby refuses to start with lower settings than the primary had.
_SIZED = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}
SESSION: Mapping[str, str] = {
    # What a role or a database has for its sessions is for those of the product.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_read_only": "off",
    # A prepared transaction keeps its locks through a restore, and nobody is there to end it.
    "lock_timeout": "60s",
}
"""Settings of each session on a restored server."""
_HBA = """\
# Only PostgreSQL's user and root can enter the socket's directory.
local all all trust
"""
_STAMP = r"^(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC \[\d+\] "
_REDO_START = re.compile(_STAMP + r"LOG:  redo starts at (?P<lsn>\S+)", re.MULTILINE)
_REDO_DONE = re.compile(_STAMP + r"LOG:  redo done at (?P<lsn>\S+)", re.MULTILINE)
_LAST_COMMIT = re.compile(r"LOG:  last completed transaction was at log time (?P<at>.+)")
_FATAL = re.compile(r"(?:FATAL|PANIC):  (?P<text>.*)")


@dataclass(frozen=True)
class Recovery:
    """The extent of the recovery, from the server's log; after a clean shutdown nothing is replayed.

    Positions are LSNs as numbers of bytes.
    """

    redo_start: int | None
    redo_end: int | None
    started_at: datetime | None
    replayed_at: datetime | None

    @property
    def redo_seconds(self) -> float:
        """The seconds from the first record replayed to the last; 0 when nothing was replayed."""
        if self.started_at is None or self.replayed_at is None:
            return 0.0
        return (self.replayed_at - self.started_at).total_seconds()

    @property
    def replayed_bytes(self) -> int:
        """The bytes of WAL from the first record to the last; 0 when nothing was replayed."""
        if self.redo_start is None or self.redo_end is None:
            return 0
        return max(0, self.redo_end - self.redo_start)


@dataclass
class RestoredServer:
    """One restored data directory and the server that runs in it."""

    workspace: Workspace
    programs: PostgresPrograms
    launcher: Launcher
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings beyond those given to every restored server."""
    superuser: str = SUPERUSER
    _child: subprocess.Popen[bytes] | None = None

    @property
    def data_dir(self) -> Path:
        """The restored data directory."""
        return self.workspace.data_dir

    @property
    def socket_dir(self) -> Path:
        """The directory of the only socket that the server listens on."""
        return self.workspace.socket_dir

    @property
    def port(self) -> int:
        """The port in the socket's name."""
        return PORT

    def program(self, name: str) -> str:
        """Return the path of a PostgreSQL program of the server's version. Raises ConfigurationError."""
        return self.programs.path(name)

    @contextmanager
    def running(self, command_line: Mapping[str, str] | None = None) -> Iterator[RestoredServer]:
        """Start it, and stop it cleanly at the end; ``command_line`` settings beat all files.

        An interruption kills it. Raises CheckFailed with the server's own message when it ends by itself.
        """
        conf = self.workspace.write("postgresql.conf", _CONF)
        values = {**self._values(), **_ALWAYS, **self.settings, **(command_line or {})}
        given = [f"{name}={value}" for name, value in values.items()]
        argv = [self.program("postgres"), "-D", str(self.data_dir), "-c", f"config_file={conf}"]
        argv += [word for option in given for word in ("-c", option)]
        self.workspace.log_file.touch(mode=0o600)
        with self.launcher.background(
            argv, self.workspace.log_file, stop=signal.SIGINT, patience=STOP_SECONDS
        ) as child:
            self._child = child
            try:
                yield self
            finally:
                self._child = None

    def wait_promoted(self, timeout: float, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait until recovery has ended and the server takes writes.

        Raises CheckFailed when the server ends, Unavailable after ``timeout`` seconds.
        """

        def promoted() -> bool:
            self._require_running()
            on_wait()
            try:
                with self.connect("postgres") as connection:
                    row = connection.execute("SELECT NOT pg_is_in_recovery() AS done").fetchone()
            except (Unavailable, psycopg.OperationalError):
                # Not up yet, or just ended: the next attempt tells which.
                return False
            return bool(row and row["done"])

        wait_until(promoted, timeout, "the restored server is promoted", interval=0.05, hint=self.failure())

    def connect(self, database: str) -> Connection:
        """Connect as superuser over the socket, with autocommit. Raises Unavailable."""
        try:
            return self._login(database, self.superuser)
        except Unavailable:
            name = self._superuser_name()
            if name is None or name == self.superuser:
                raise
            self.superuser = name
            return self._login(database, name)

    def databases(self) -> list[str]:
        """List the databases that allow connections; templates are left out."""
        with self.connect("postgres") as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
            ).fetchall()
        return [row["datname"] for row in rows]

    def recovery(self) -> Recovery:
        """Read the extent of the recovery from the log."""
        text = self._log_text()
        start, done = _REDO_START.search(text), _REDO_DONE.search(text)
        return Recovery(
            redo_start=parse_lsn(start["lsn"].rstrip(",")) if start else None,
            redo_end=parse_lsn(done["lsn"].rstrip(",")) if done else None,
            started_at=datetime.fromisoformat(f"{start['at']}+00:00") if start else None,
            replayed_at=datetime.fromisoformat(f"{done['at']}+00:00") if done else None,
        )

    def failure(self) -> str:
        """Return the log's newest FATAL or PANIC message, or where to look when there is none."""
        messages = _FATAL.findall(self._log_text())
        return f"the server said: {messages[-1]}" if messages else f"see {self.workspace.log_file}"

    def recoverable_until(self) -> datetime | None:
        """Return the commit time of the last transaction replayed, from the log; None when it has none."""
        commits = _LAST_COMMIT.findall(self._log_text())
        try:
            return datetime.fromisoformat(commits[-1].strip()) if commits else None
        except ValueError:
            return None

    def control_data(self) -> dict[str, str]:
        """Read what pg_controldata prints of the data directory, by label.

        Raises CheckFailed when the control file cannot be read.
        """
        ended = self.launcher.run([self.program("pg_controldata"), str(self.data_dir)], timeout=60)
        if ended.code:
            raise CheckFailed(f"{self.data_dir} has no readable control file: restore another set")
        pairs = (line.partition(":") for line in ended.stdout.splitlines())
        return {label.strip(): value.strip() for label, _, value in pairs}

    def _values(self) -> dict[str, str]:
        control = self.control_data()
        sizes = {name: control[label] for label, name in _SIZED.items() if label in control}
        return {
            "data_directory": str(self.data_dir),
            "hba_file": str(self.workspace.write("pg_hba.conf", _HBA)),
            "ident_file": str(self.workspace.write("pg_ident.conf", "")),
            "unix_socket_directories": str(self.socket_dir),
            "port": str(PORT),
            # At least two segments, whose size is fixed when a cluster is made; 80 MB is the default.
            "min_wal_size": f"{max(80, 2 * int(control['Bytes per WAL segment']) >> 20)}MB",
            **sizes,
        }

    def url(self, database: str, role: str, more: Mapping[str, str] | None = None) -> str:
        """Return the URL with which ``role`` connects; the host parameter is the socket's directory.

        ``more``: settings of the session beyond SESSION.
        """
        options = " ".join(f"-c {name}={value}" for name, value in {**SESSION, **(more or {})}.items())
        place = {"host": str(self.socket_dir), "port": self.port, "user": role, "options": options}
        return f"postgresql:///{quote(database, safe='')}?{urlencode(place, quote_via=quote)}"

    def _login(self, database: str, role: str) -> Connection:
        url = self.url(database, role)
        return postgres.connect(url, application="ops-platform restore", autocommit=True)

    def _superuser_name(self) -> str | None:
        try:
            with self._login("postgres", KNOWN_ROLE) as connection:
                row = connection.execute("SELECT rolname FROM pg_roles WHERE oid = 10").fetchone()
        except (Unavailable, psycopg.Error):
            return None
        return str(row["rolname"]) if row else None

    def _require_running(self) -> None:
        if self._child is None or self._child.poll() is not None:
            said, until = self.failure(), self.recoverable_until()
            if until is not None:
                said += f"; what is stored can be restored until {until:%Y-%m-%d %H:%M:%S}+00"
            raise CheckFailed(f"the restored server ended before it took writes: {said}")

    def _log_text(self) -> str:
        try:
            return self.workspace.log_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""


_CONF = (
    "# Every setting is on the command line: postgresql.auto.conf, restored with the data, beats this file.\n"
)
_ALWAYS = {
    "archive_mode": "off",
    "archive_command": "/bin/false",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "ssl": "off",
    "primary_conninfo": "",
    "shared_buffers": "128MB",
    # Fewer restart points while WAL is replayed.
    "max_wal_size": "4GB",
    "hot_standby": "on",
    "timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_min_messages": "warning",
    "lc_messages": "C",
    # Statements contain data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    # Background work must not change the restored data: autovacuum, extensions' workers, and least of all
    # a subscription, which would take from the publisher what the living cluster waits for.
    "autovacuum": "off",
    "max_logical_replication_workers": "0",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
}
