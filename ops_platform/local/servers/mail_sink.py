"""A local SMTP server that keeps every message in a Maildir and delivers nothing.

``python -m ops_platform.local.servers.mail_sink --port PORT --maildir DIR``
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import mailbox
import signal
import smtplib
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING

from ops_platform.clients import safe_errors

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session

LARGEST_MESSAGE_BYTES = 20 * 1024 * 1024

log = logging.getLogger("mail_sink")


class MaildirHandler:
    """Handler that stores each accepted message, with its envelope in ``X-MailFrom`` and ``X-RcptTo``."""

    def __init__(self, directory: Path) -> None:
        self._maildir = mailbox.Maildir(directory, create=True)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Store the message; return the SMTP reply, 452 when there is no room."""
        content = envelope.original_content or b""
        message = message_from_bytes(content)
        del message["X-MailFrom"], message["X-RcptTo"]
        message["X-MailFrom"] = envelope.mail_from or ""
        message["X-RcptTo"] = ", ".join(envelope.rcpt_tos)
        try:
            self._maildir.add(mailbox.MaildirMessage(message))
        except OSError as error:
            log.error("a message could not be kept: %s", error.strerror)
            return "452 4.3.1 no room to keep the message, try again later"
        # Addresses and subjects are personal data: the log holds the size only.
        log.info("kept a message of %d bytes", len(content))
        return "250 2.0.0 kept"


async def serve(host: str, port: int, directory: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    from aiosmtpd.smtp import SMTP  # not for whoever only asks whether it answers

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    handler = MaildirHandler(directory)
    server = await loop.create_server(
        lambda: SMTP(
            handler,
            data_size_limit=LARGEST_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
            # Otherwise it asks the resolver for this machine's name at each connection and blocks all others.
            hostname="localhost",
            loop=loop,
        ),
        host,
        port,
    )
    log.info("listening on %s:%d", host, port)
    async with server:
        await ended.wait()


def is_ready(port: int) -> bool:
    """Tell whether the sink on loopback greets and answers NOOP."""
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=3) as client:
            return client.noop()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def main() -> None:
    """Serve on the port and Maildir that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m ops_platform.local.servers.mail_sink", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--maildir", type=Path, required=True)
    arguments = parser.parse_args()
    safe_errors.guard(logging.INFO)
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    arguments.maildir.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(arguments.host, arguments.port, arguments.maildir))


if __name__ == "__main__":
    main()
