"""Control of supervisord: its configuration, its start and end, its programs by XML-RPC on a Unix socket."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from ops_platform.clients.waiting import wait_until
from ops_platform.errors import ConfigurationError, OpsError
from ops_platform.local.host import Layout, write_private
from ops_platform.local.supervision.service import Service

STACK_ID = "OPS_STACK_ID"
"""Variable in the environment of every process of a stack; leftovers are recognised by it."""
LOG_BYTES = "20MB"

_UNWRITABLE = re.compile(r"""["'\\\r\n]|\s[;#]""")


@dataclass(frozen=True)
class Program:
    """A supervised program's state in supervisord's words: RUNNING, STARTING, BACKOFF, STOPPED, FATAL, ..."""

    name: str
    state: str
    pid: int | None
    ended_at: int
    """Time of its last end in Unix seconds; 0 when it never ended."""


@dataclass(frozen=True)
class Supervisor:
    """The supervisor of one state directory."""

    layout: Layout
    stack_id: str

    # --- configuration ------------------------------------------------------------------------------

    def render(self, services: Sequence[Service]) -> str:
        """Render supervisord.conf, deterministically, so that an unchanged stack is left alone."""
        layout = self.layout
        sections: list[tuple[str, dict[str, str]]] = [
            ("unix_http_server", {"file": _escape(layout.supervisor_socket), "chmod": "0700"}),
            (
                "supervisord",
                {
                    "logfile": _escape(layout.log("supervisord")),
                    "logfile_maxbytes": LOG_BYTES,
                    "logfile_backups": "2",
                    "pidfile": _escape(layout.run / "supervisord.pid"),
                    "childlogdir": _escape(layout.logs),
                    "directory": "/",
                    "umask": "022",
                    **({"user": "root"} if os.geteuid() == 0 else {}),
                },
            ),
            (
                "rpcinterface:supervisor",
                {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
            ),
            *((f"program:{service.name}", self._program(service)) for service in services),
        ]
        return "\n".join(
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
            for name, values in sections
        )

    def _program(self, service: Service) -> dict[str, str]:
        environment = {**service.environment, STACK_ID: self.stack_id, "OPS_CONFIG_DIGEST": service.digest()}
        values = {
            "command": " ".join(_quote(word) for word in service.command),
            "directory": _escape(service.directory),
            "environment": ",".join(f"{name}={_quote(value)}" for name, value in sorted(environment.items())),
            "autostart": "false",
            "autorestart": "true",
            # Long enough that a program which fails while it loads counts as not started.
            "startsecs": "5",
            # With its growing pauses that is about seven minutes of trying.
            "startretries": "30",
            "stopsignal": service.stop_signal,
            "stopwaitsecs": str(service.stop_seconds),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": _escape(self.layout.log(service.name)),
            "stdout_logfile_maxbytes": LOG_BYTES,
            "stdout_logfile_backups": "2",
        }
        if service.user:
            values["user"] = service.user
        return values

    # --- supervisord itself ---------------------------------------------------------------------------

    def is_running(self) -> bool:
        """Tell whether supervisord answers."""
        try:
            return bool(self._rpc().supervisor.getState())
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def pid(self) -> int:
        """Ask supervisord for its process id."""
        return int(self._rpc().supervisor.getPID())

    def apply(self, services: Sequence[Service], stop: Callable[[Sequence[str]], None]) -> None:
        """Write the configuration and make supervisord run with it; ``stop`` ends programs that changed."""
        changed = write_private(self.layout.supervisor_file, self.render(services))
        if not self.is_running():
            self._start()
        elif changed:
            self._reread(stop)

    def _start(self) -> None:
        self.layout.supervisor_socket.unlink(missing_ok=True)
        environment = {
            "PATH": search_path(),
            "HOME": os.path.expanduser("~"),  # noqa: PTH111 - of the invoking user, HOME or not
            "LANG": "C.UTF-8",
            STACK_ID: self.stack_id,
        }
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.layout.supervisor_file)],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
            raise OpsError(
                f"the supervisor does not start: {lines[-1]}; see {self.layout.log('supervisord')}"
            )
        wait_until(
            self.is_running, 20, "the supervisor answers", hint=f"see {self.layout.log('supervisord')}"
        )

    def _reread(self, stop: Callable[[Sequence[str]], None]) -> None:
        rpc = self._rpc().supervisor
        [[added, changed, removed]] = rpc.reloadConfig()
        stop([*changed, *removed])
        for name in [*changed, *removed]:
            rpc.removeProcessGroup(name)
        for name in [*added, *changed]:
            rpc.addProcessGroup(name)

    def shutdown(self) -> None:
        """End supervisord; programs that still run are stopped by it first."""
        try:
            process = psutil.Process(self.pid())
            self._rpc().supervisor.shutdown()
        except (OSError, http.client.HTTPException, psutil.NoSuchProcess):
            return
        wait_until(lambda: not process.is_running(), 120, "the supervisor ends", interval=0.05)

    # --- programs -----------------------------------------------------------------------------------

    def programs(self) -> dict[str, Program]:
        """Read every program's state; empty when supervisord does not run."""
        try:
            rows: Any = self._rpc().supervisor.getAllProcessInfo()
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return {}
        return {
            row["name"]: Program(row["name"], row["statename"], row["pid"] or None, row["stop"])
            for row in rows
        }

    def start(self, name: str) -> None:
        """Request a start and return at once. Raises OpsError when the program cannot be run at all."""
        try:
            self._rpc().supervisor.startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise OpsError(f"{name} cannot be started: {fault.faultString}") from None

    def stop(self, names: Iterable[str]) -> None:
        """Stop programs together and wait for all of them. Raises OpsError, and Unavailable after 120 s."""
        wanted = set(names)
        rpc = self._rpc().supervisor
        for name in wanted:
            try:
                rpc.stopProcess(name, False)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode not in (Faults.NOT_RUNNING, Faults.BAD_NAME):
                    raise OpsError(f"{name} cannot be stopped: {fault.faultString}") from None

        def stopped() -> bool:
            return not any(
                program.name in wanted and program.state in ("RUNNING", "STOPPING", "STARTING", "BACKOFF")
                for program in self.programs().values()
            )

        wait_until(stopped, 120, f"{', '.join(sorted(wanted))} stop", interval=0.05)

    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.layout.supervisor_socket}")
        return xmlrpc.client.ServerProxy("http://localhost", transport=transport)


def search_path() -> str:
    """Make the PATH of the stack's processes: this Python's programs, then the system's."""
    return f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def _escape(value: object) -> str:
    # supervisord expands %(name)s everywhere.
    return str(value).replace("%", "%%")


def _quote(value: str) -> str:
    """Quote a word of ``command`` or a value of ``environment``.

    supervisord has no way to write the characters refused here in both places; only a path can hold
    one. Raises ConfigurationError.
    """
    if _UNWRITABLE.search(value):
        raise ConfigurationError(
            f"supervisord cannot take {value!r}, for its quote, backslash, line break or ' ;': "
            "use another directory"
        )
    return f'"{_escape(value)}"'
