"""SMTP: deliver one message to a mail server, with TLS when configured.

The decision to send mail, and its wording, do not live here. No error message names a sender or a recipient.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from pathlib import Path
from typing import Literal

import idna
from pydantic import SecretStr

from ops_platform.clients.mail import look
from ops_platform.clients.mail.look import LOGO_ID, Look
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform.settings import Settings

TIMEOUT_SECONDS = 15.0
Security = Literal["none", "starttls", "tls"]


class MailRefused(OpsError):
    """The server refused this message for good; trying again does not help."""


@dataclass(frozen=True)
class Attachment:
    """A text file that comes with a mail; ``media_type`` as ``application/json``."""

    name: str
    media_type: str
    text: str


@dataclass(frozen=True)
class Mail:
    """A text message. By its ``message_id`` a receiver recognises a repeated delivery."""

    recipients: Sequence[str]
    subject: str
    text: str
    message_id: str | None = None
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True)
class Mailer:
    """An SMTP server, and the sender, security and credentials to use with it."""

    host: str
    port: int
    sender: str
    security: Security = "none"
    ca_file: Path | None = None
    username: str | None = None
    password: SecretStr | None = None
    password_without_tls: bool = False
    """Send the password over a connection that anybody on the way can read."""
    timeout_seconds: float = TIMEOUT_SECONDS
    look: Look | None = None
    """The company's look; None: mails are plain text."""

    def send(self, mail: Mail) -> None:
        """Deliver the message for every recipient to the server.

        Raises Unavailable when trying again later can help, MailRefused when it cannot,
        ConfigurationError for an address or subject that cannot be a header.
        """
        message = self._message(mail)
        where = f"the mail server at {self.host}:{self.port}"
        try:
            with self._connect() as server:
                refused = server.send_message(
                    message, self.sender_address, [ascii_domain(one) for one in mail.recipients]
                )
        except smtplib.SMTPAuthenticationError:
            raise Unavailable(
                f"{where} refused the user name or password: correct OPS_SMTP_USERNAME"
            ) from None
        except smtplib.SMTPNotSupportedError:
            if not _is_ascii(self.sender_address, *mail.recipients):
                raise MailRefused(
                    f"{where} takes no address with letters beyond ASCII before the @ (SMTPUTF8): use "
                    "one that does"
                ) from None
            raise Unavailable(f"{where} does not offer what OPS_SMTP_SECURITY asks for: correct it") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise _refused(where, [code for code, _ in error.recipients.values()]) from None
        except smtplib.SMTPResponseException as error:
            raise _refused(where, [error.smtp_code]) from None
        except ssl.SSLError as error:
            raise Unavailable(
                f"{where} could not be trusted: {error.reason or 'TLS failed'}; check OPS_CA_FILE"
            ) from None
        except smtplib.SMTPServerDisconnected:
            raise Unavailable(f"{where} closed the connection: look at its log") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Unavailable(f"cannot reach {where}: {reason}; start it or correct OPS_SMTP_HOST") from None
        if refused:
            raise _refused(where, [code for code, _ in refused.values()])

    def _connect(self) -> smtplib.SMTP:
        signs_in = self.username is not None and self.password is not None
        if signs_in and self.security == "none" and not self.password_without_tls:
            # Unavailable, not a fault of the mail: it waits until this is put right.
            raise Unavailable(
                "the password of the mail server is not sent without TLS: set OPS_SMTP_SECURITY to starttls "
                "or tls, or OPS_SMTP_PASSWORD_WITHOUT_TLS to true"
            )
        server: smtplib.SMTP
        if self.security == "tls":
            server = smtplib.SMTP_SSL(
                self.host, self.port, timeout=self.timeout_seconds, context=self._trusted()
            )
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=self.timeout_seconds)
        try:
            if self.security == "starttls":
                server.starttls(context=self._trusted())
            if self.username is not None and self.password is not None:
                server.login(self.username, self.password.get_secret_value())
        except BaseException:
            with suppress(OSError):
                server.close()
            raise
        return server

    def _trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)

    def _message(self, mail: Mail) -> EmailMessage:
        if not mail.recipients:
            raise ConfigurationError("a mail has no recipient: give at least one")
        message = EmailMessage()
        try:
            message["From"] = self._from()
            message["To"] = ", ".join(ascii_domain(one) for one in mail.recipients)
            message["Subject"] = mail.subject
            message["Date"] = formatdate()
            message["Message-ID"] = mail.message_id or make_msgid(
                domain=self.sender_address.rpartition("@")[2] or None
            )
        except Exception as error:
            # For an invalid address the email package raises whatever its parser stumbles over.
            raise ConfigurationError(
                f"a mail's address or subject cannot be written ({type(error).__name__}): correct it"
            ) from None
        message.set_content(mail.text)
        if self.look is not None:
            message.add_alternative(self.look.html(mail.text, mail.subject), subtype="html")
            if self.look.logo is not None:
                page = message.get_body(("html",))
                assert isinstance(page, EmailMessage)  # noqa: S101 - it was just added
                kind = self.look.logo_kind
                page.add_related(self.look.logo, "image", kind, cid=f"<{LOGO_ID}>", disposition="inline")
        for attachment in mail.attachments:
            kind, _, subtype = attachment.media_type.partition("/")
            message.add_attachment(
                attachment.text.encode(), maintype=kind, subtype=subtype, filename=attachment.name
            )
        return message

    @property
    def sender_address(self) -> str:
        """The sender without a name before it, its domain in ASCII."""
        return ascii_domain(parseaddr(self.sender)[1] or self.sender)

    def _from(self) -> str | Address:
        name = self.look.name if self.look is not None else parseaddr(self.sender)[0]
        return Address(name, addr_spec=self.sender_address) if name else self.sender_address


def ascii_domain(address: str) -> str:
    """Write an address's domain in ASCII (IDNA 2008), as every mail server knows it.

    Raises ConfigurationError, without the address, when it is no domain.
    """
    local, at, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}{at}{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        raise ConfigurationError("a mail's address has a domain that is none (IDNA): correct it") from None


def mailer(settings: Settings) -> Mailer:
    """Build the mailer that ``OPS_SMTP_*`` configures, with the look of ``OPS_PAGE_*``."""
    smtp = settings.smtp
    return Mailer(
        host=smtp.host,
        port=smtp.port,
        sender=smtp.sender,
        security=smtp.security,
        ca_file=settings.ca_file,
        username=smtp.username,
        password=smtp.password,
        password_without_tls=smtp.password_without_tls,
        look=look.from_settings(settings.page),
    )


def _is_ascii(*addresses: str) -> bool:
    return all(ascii_domain(address).isascii() for address in addresses)


def _refused(where: str, codes: Sequence[int]) -> OpsError:
    code = max(codes, default=550)
    if code < 500:
        return Unavailable(f"{where} postponed the message with code {code}: try again later")
    return MailRefused(f"{where} refused the message with code {code}: check the sender and the recipients")
