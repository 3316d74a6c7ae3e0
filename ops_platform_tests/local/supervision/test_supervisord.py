"""supervisord with small programs: configuration, changes, ends, leftovers."""

from __future__ import annotations

import configparser
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.datatypes import dict_of_key_value_pairs
from supervisor.options import UnhosedConfigParser

from ops_platform.clients.waiting import wait_until
from ops_platform.errors import ConfigurationError
from ops_platform.local.host.accounts import account
from ops_platform.local.host.layout import Layout
from ops_platform.local.supervision import leftovers
from ops_platform.local.supervision.service import Service
from ops_platform.local.supervision.supervisord import STACK_ID, Supervisor
from ops_platform_tests.services import short_directory

_values = (
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40)
    .map(str.strip)
    .filter(bool)
)


def _service(name: str = "sleeper", **changes: object) -> Service:
    service = Service(name=name, stage=1, command=["/bin/sleep", "600"], ready=lambda: True)
    return replace(service, **changes)  # type: ignore[arg-type]


@given(_values)
def test_a_value_reaches_the_program_as_it_is_or_is_refused(value: str) -> None:
    """Supervisord expands %, strips quotes, and takes ; for a comment."""
    supervisor = Supervisor(Layout(Path("/tmp/x"), account(None)), "id")
    try:
        text = supervisor.render([_service(environment={"GIVEN": value}, command=["/bin/echo", value])])
    except ConfigurationError:
        assert set(value) & set("\"'\\;#")
        return
    parser = UnhosedConfigParser()
    parser.read_string(text)
    raw = parser.saneget("program:sleeper", "environment", do_expand=False)
    assert dict_of_key_value_pairs(raw.replace("%%", "%"))["GIVEN"] == value
    command = parser.saneget("program:sleeper", "command", do_expand=False)
    assert shlex.split(command.replace("%%", "%")) == ["/bin/echo", value]


def test_the_configuration_is_the_same_each_time(tmp_path: Path) -> None:
    supervisor = Supervisor(Layout(tmp_path, account(None)), "id")
    services = [_service(environment={"B": "1", "A": "2"})]
    assert supervisor.render(services) == supervisor.render(services)
    parser = configparser.RawConfigParser()
    parser.read_string(supervisor.render(services))
    assert parser.get("program:sleeper", "autorestart") == "true"


def test_a_changed_configuration_file_changes_the_program(tmp_path: Path) -> None:
    supervisor = Supervisor(Layout(tmp_path, account(None)), "id")
    file = tmp_path / "redis.conf"
    file.write_text("one", encoding="utf-8")
    before = supervisor.render([_service(config_files=[file])])
    file.write_text("two", encoding="utf-8")
    assert supervisor.render([_service(config_files=[file])]) != before


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    layout = Layout(short_directory(), account(None))
    layout.prepare()
    running = Supervisor(layout, os.urandom(8).hex())
    yield running
    leftovers.end(leftovers.find(running.stack_id, layout), lambda line: None)
    subprocess.run(["rm", "-rf", str(layout.state_dir)], check=True)


def _apply(supervisor: Supervisor, *services: Service) -> None:
    supervisor.apply(services, supervisor.stop)
    for service in services:
        supervisor.start(service.name)
    wait_until(lambda: _running(supervisor) >= {service.name for service in services}, 20, "programs run")


def _running(supervisor: Supervisor) -> set[str]:
    return {name for name, program in supervisor.programs().items() if program.pid}


@pytest.mark.services
def test_an_unchanged_configuration_leaves_programs_alone_and_a_changed_one_restarts_its_own(
    supervisor: Supervisor,
) -> None:
    one, two = _service("one"), _service("two")
    _apply(supervisor, one, two)
    before = {name: program.pid for name, program in supervisor.programs().items()}
    _apply(supervisor, one, two)
    assert {name: program.pid for name, program in supervisor.programs().items()} == before
    _apply(supervisor, one, replace(two, environment={"NEW": "1"}), _service("three"))
    after = {name: program.pid for name, program in supervisor.programs().items()}
    assert after["one"] == before["one"]
    assert after["two"] != before["two"]
    assert set(after) == {"one", "two", "three"}
    _apply(supervisor, one)
    assert set(supervisor.programs()) == {"one"}
    supervisor.shutdown()
    assert leftovers.find(supervisor.stack_id, supervisor.layout) == []


@pytest.mark.services
def test_what_a_killed_supervisor_leaves_is_found_and_ended_with_its_children(supervisor: Supervisor) -> None:
    script = supervisor.layout.state_dir / "parent.py"
    script.write_text(
        "import subprocess, time\n"
        "subprocess.Popen(['/bin/sleep', '600'], start_new_session=True)\n"
        "time.sleep(600)\n",
        encoding="utf-8",
    )
    _apply(supervisor, _service("parent", command=[sys.executable, str(script)]))
    wait_until(lambda: len(leftovers.find(supervisor.stack_id, supervisor.layout)) == 3, 20, "the child runs")
    bystander = subprocess.Popen(["/bin/sleep", "600"], env={STACK_ID: "another"})
    os.kill(supervisor.pid(), signal.SIGKILL)
    said: list[str] = []
    wait_until(lambda: not supervisor.is_running(), 10, "the supervisor is gone")
    found = leftovers.find(supervisor.stack_id, supervisor.layout)
    assert len(found) == 2
    leftovers.end(found, said.append)
    assert leftovers.find(supervisor.stack_id, supervisor.layout) == []
    assert said
    assert psutil.pid_exists(bystander.pid)
    bystander.kill()
    bystander.wait()


@pytest.mark.services
def test_a_program_that_ignores_its_stop_signal_is_killed_after_its_time(supervisor: Supervisor) -> None:
    script = supervisor.layout.state_dir / "stubborn.py"
    script.write_text(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n",
        encoding="utf-8",
    )
    stubborn = _service("stubborn", command=[sys.executable, str(script)], stop_seconds=1)
    _apply(supervisor, stubborn)
    wait_until(
        lambda: "up" in supervisor.layout.log("stubborn").read_text(encoding="utf-8"), 10, "it ignores"
    )
    supervisor.stop(["stubborn"])
    assert _running(supervisor) == set()
