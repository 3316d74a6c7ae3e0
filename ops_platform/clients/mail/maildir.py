"""Reading the newer messages of a Maildir. Nothing is changed or deleted."""

from __future__ import annotations

import mailbox
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from ops_platform.errors import Unavailable


@dataclass(frozen=True)
class Message:
    """A mail that was delivered; empty ``subject`` when it has none."""

    subject: str
    text: str
    """All text parts, HTML included as it is."""


def since(directory: Path, moment: datetime) -> Iterator[Message]:
    """Read the messages that were delivered at ``moment`` (aware) or later; in no order.

    Raises Unavailable when ``directory`` is not a Maildir.
    """
    try:
        box = mailbox.Maildir(directory, create=False)
    except mailbox.NoSuchMailboxError:
        raise Unavailable(
            f"{directory} is not a Maildir: correct OPS_MAIL_DIR, or start the mail sink"
        ) from None
    for key in box.iterkeys():
        try:
            # A file system may keep times in whole seconds.
            if box.get_message(key).get_date() < int(moment.timestamp()):
                continue
            yield _message(box.get_bytes(key))
        except KeyError:
            continue  # somebody else took it


def _message(raw: bytes) -> Message:
    parsed = message_from_bytes(raw, policy=policy.default)
    assert isinstance(parsed, EmailMessage)  # noqa: S101 - the policy makes it one
    texts = [part.get_content() for part in parsed.walk() if part.get_content_maintype() == "text"]
    return Message(str(parsed["Subject"] or ""), "\n".join(texts))
