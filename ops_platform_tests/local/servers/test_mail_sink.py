from __future__ import annotations

import mailbox
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from ops_platform.clients.waiting import wait_until
from ops_platform.local.servers import mail_sink
from ops_platform_tests.ports import free_ports

pytestmark = pytest.mark.services


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[tuple[int, Path, subprocess.Popen[str]]]:
    port = free_ports(1)[0]
    arguments = [f"--port={port}", f"--maildir={tmp_path / 'mail'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ops_platform.local.servers.mail_sink", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(lambda: mail_sink.is_ready(port), 20, "the mail sink greets")
        yield port, tmp_path / "mail", process
    finally:
        process.kill()
        process.wait()


def test_a_message_is_kept_with_its_envelope_and_the_log_names_nobody(
    sink: tuple[int, Path, subprocess.Popen[str]],
) -> None:
    port, maildir, process = sink
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message["From"] = "ops@example.com"
    message["To"] = "someone@example.com"
    message.set_content("hello")
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(message, "bounce@example.com", ["someone@example.com", "b@example.com"])
    (kept,) = list(mailbox.Maildir(maildir))
    assert kept["X-MailFrom"] == "bounce@example.com"
    assert kept["X-RcptTo"] == "someone@example.com, b@example.com"
    assert str(kept.get_payload()).strip() == "hello"
    process.terminate()
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "kept a message" in output
    assert "example.com" not in output


def test_a_message_too_large_is_refused(sink: tuple[int, Path, subprocess.Popen[str]]) -> None:
    port, maildir, _ = sink
    with smtplib.SMTP("127.0.0.1", port) as client, pytest.raises(smtplib.SMTPException):
        client.sendmail("a@example.com", ["b@example.com"], b"x" * (mail_sink.LARGEST_MESSAGE_BYTES + 1))
    assert list(mailbox.Maildir(maildir)) == []
