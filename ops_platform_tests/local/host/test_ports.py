from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.errors import ConfigurationError
from ops_platform.local.host import ports
from ops_platform_tests.ports import free_ports


@given(st.integers(1024, 65000), st.integers(1, 20))
def test_assigned_ports_are_apart_and_start_at_the_base(base: int, count: int) -> None:
    assigned = ports.assign([f"service-{n}" for n in range(count)], base)
    assert min(assigned.values()) == base
    assert len(set(assigned.values())) == count
    assert max(assigned.values()) <= 65535


@pytest.mark.parametrize("base", [0, 80, 1023, 65530])
def test_a_base_without_room_is_refused(base: int) -> None:
    with pytest.raises(ConfigurationError, match="OPS_PORT_BASE"):
        ports.assign([f"service-{n}" for n in range(10)], base)


def test_kept_ports_win_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    ports.save(file, ports.assign(["a", "b"], 20000))
    assert ports.load(file, ["a", "b"], None) == {"a": 20000, "b": 20001}


def test_another_base_moves_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    ports.save(file, ports.assign(["a", "b"], 20000))
    assert ports.load(file, ["a", "b"], 21000) == {"a": 21000, "b": 21001}


def test_a_new_service_gets_a_port_and_the_others_keep_theirs(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    ports.save(file, ports.assign(["a", "b"], 20000))
    assert ports.load(file, ["a", "new", "b"], None) == {"a": 20000, "new": 20002, "b": 20001}


@pytest.mark.parametrize("content", ["not json", "[]", '{"a": "x"}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"ports\.json"):
        ports.load(file, ["a"], None)


def test_a_taken_port_is_reported_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            ports.require_free({"redis": port})
    assert f"port {port} for redis is taken by" in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_port_held_on_every_address_is_taken_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104
        assert not ports.is_free(server.getsockname()[1])


def test_free_ports_are_free_and_apart() -> None:
    chosen = free_ports(20)
    assert len(set(chosen)) == 20
    assert all(ports.is_free(port) for port in chosen)


def test_the_file_is_readable_by_people(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    ports.save(file, {"webserver": 17000})
    assert json.loads(file.read_text(encoding="utf-8")) == {"webserver": 17000}
