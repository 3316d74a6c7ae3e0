"""A loop's own database session: opened when needed, opened anew when broken, cut from another thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from ops_platform.clients import postgres
from ops_platform.errors import Unavailable

STATEMENT_TIMEOUT_MS = 15_000


class ReconnectingSession:
    """One connection, used by one thread at a time. ``url`` is called at each opening.

    Only ``cut`` may be called from any thread.
    """

    def __init__(self, url: Callable[[], str], application: str) -> None:
        self._url = url
        self._application = application
        self._connection: postgres.Connection | None = None
        self._lock = threading.Lock()

    @contextmanager
    def use(self) -> Iterator[postgres.Connection]:
        """Lend the connection in a transaction: committed at the end, rolled back and closed on a failure.

        Raises Unavailable when the server is away.
        """
        connection = self._open()
        try:
            yield connection
            connection.commit()
        except BaseException as error:
            self.close()
            if isinstance(error, psycopg.OperationalError):
                raise Unavailable(
                    f"PostgreSQL at {postgres.describe(self._url())} went away: look at its log"
                ) from None
            raise

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Cut the connection when the block takes longer; for users that no supervisor watches."""
        timer = threading.Timer(seconds, self.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def cut(self) -> None:
        """Shut the socket down: a statement that waits for a server which stopped answering fails at once."""
        with self._lock:
            connection = self._connection
            if connection is None or connection.closed:
                return
            with (
                socket.socket(fileno=socket.dup(connection.fileno())) as handle,
                contextlib.suppress(OSError),
            ):
                handle.shutdown(socket.SHUT_RDWR)

    def _open(self) -> postgres.Connection:
        connection = self._connection
        if connection is not None and not connection.closed:
            return connection
        connection = postgres.connect(self._url(), application=self._application)
        with self._lock:
            self._connection = connection
        connection.execute("SELECT set_config('statement_timeout', %s, false)", (str(STATEMENT_TIMEOUT_MS),))
        connection.commit()
        return connection
