"""A time stamping authority that never ends, says too much, or whom this machine cannot ask."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops_platform.clients import timestamp_authority
from ops_platform.clients.child_process import Ended
from ops_platform.clients.timestamp_authority import LARGEST, TimestampAuthority
from ops_platform.errors import ConfigurationError, Unavailable

DIGEST = bytes(32)


@contextmanager
def answering(first: bytes, then: bytes, times: int, pause: float) -> Iterator[str]:
    """A server that sends ``first``, and ``then`` so many ``times``, with a pause before each.

    It stops when the block ends: the client's error keeps its connection open.
    """
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                try:
                    peer.sendall(first)
                    for _ in range(times):
                        if over.wait(pause):
                            break
                        peer.sendall(then)
                except OSError:
                    pass

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        over.set()
        thread.join()


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_one_that_sends_a_byte_now_and_then_holds_nobody_up(first: bytes) -> None:
    with answering(first, b"x", 20, 0.1) as url:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="did not answer in time"):
            TimestampAuthority(url, timeout_seconds=0.5).stamp(DIGEST)
        assert time.monotonic() - began < 1.5


def test_what_is_too_large_is_not_read_to_its_end() -> None:
    with (
        answering(b"HTTP/1.1 200 OK\r\n\r\n", bytes(LARGEST), 1000, 0.0) as url,
        pytest.raises(Unavailable, match="is the URL right"),
    ):
        TimestampAuthority(url).stamp(DIGEST)


def test_what_this_machine_cannot_do_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setattr(timestamp_authority, "_openssl", lambda _: Ended(1, "", ""))
        with pytest.raises(ConfigurationError, match="OPENSSL_CONF"):
            TimestampAuthority("http://127.0.0.1:9/").stamp(DIGEST)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    with pytest.raises(Unavailable, match="is the disk full"):
        timestamp_authority.verify(b"token", DIGEST)
