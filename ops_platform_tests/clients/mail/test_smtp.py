"""Sending mail through a real SMTP server: plain, STARTTLS, TLS, and every way to be refused."""

from __future__ import annotations

import gc
import ssl
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult
from pydantic import SecretStr

from ops_platform.clients.mail.smtp import Mail, Mailer, MailRefused, ascii_domain, mailer
from ops_platform.errors import ConfigurationError, OpsError, Unavailable
from ops_platform.settings import load_settings
from ops_platform_tests.ports import free_ports

RECIPIENT = "anna@example.org"
SENDER = "ops@example.org"


class Keep(Message):
    """Keeps what it accepts; answers RCPT with ``reply``."""

    def __init__(self, reply: str = "250 OK") -> None:
        super().__init__(EmailMessage)
        self.kept: list[Any] = []
        self.reply = reply

    def handle_message(self, message: Any) -> None:
        self.kept.append(message)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.reply


class Sink:
    """One server on a free port."""

    def __init__(self, **arguments: Any) -> None:
        self.handler: Keep = arguments.pop("handler", None) or Keep()
        self.port: int = arguments.pop("port", None) or free_ports(1)[0]
        self.has_tls = not {"ssl_context", "tls_context"}.isdisjoint(arguments)
        # The resolver may take seconds to say what this machine is called.
        self.controller = Controller(
            self.handler, hostname="127.0.0.1", port=self.port, server_hostname="localhost", **arguments
        )

    def __enter__(self) -> Sink:
        self.controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.controller.stop()
        # A TLS connection that was broken off dies late, in Python 3.13 with the next server's first one.
        if self.has_tls:
            gc.collect()

    def mailer(self, **arguments: Any) -> Mailer:
        return Mailer("127.0.0.1", self.port, SENDER, timeout_seconds=5, **arguments)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return path, context


def mail(**changes: Any) -> Mail:
    return Mail(**{"recipients": [RECIPIENT], "subject": "Alert", "text": "Body\nwith ü", **changes})


def test_a_message_arrives_with_its_headers() -> None:
    with Sink() as sink:
        sink.mailer().send(mail(message_id="<one@ops>"))
    (message,) = sink.handler.kept
    assert (message["To"], message["From"], message["Subject"]) == (RECIPIENT, SENDER, "Alert")
    assert message["Message-ID"] == "<one@ops>"
    assert message["Date"]
    assert "with ü" in message.get_payload(decode=True).decode()


def test_starttls_checks_the_certificate(authority: tuple[Path, ssl.SSLContext]) -> None:
    ca_file, context = authority
    with Sink(tls_context=context) as sink:
        sink.mailer(security="starttls", ca_file=ca_file).send(mail())
        with pytest.raises(Unavailable, match="could not be trusted"):
            sink.mailer(security="starttls").send(mail())
    assert len(sink.handler.kept) == 1


def test_tls_from_the_first_byte(authority: tuple[Path, ssl.SSLContext]) -> None:
    ca_file, context = authority
    with Sink(ssl_context=context) as sink:
        sink.mailer(security="tls", ca_file=ca_file).send(mail())
    assert len(sink.handler.kept) == 1


def test_login(authority: tuple[Path, ssl.SSLContext]) -> None:
    ca_file, context = authority

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    with Sink(tls_context=context, authenticator=check, auth_required=True) as sink:
        arguments: dict[str, Any] = {"security": "starttls", "ca_file": ca_file, "username": "ops"}
        sink.mailer(password=SecretStr("right"), **arguments).send(mail())
        with pytest.raises(Unavailable, match="user name or password") as refused:
            sink.mailer(password=SecretStr("wrong-secret"), **arguments).send(mail())
    assert "wrong-secret" not in str(refused.value)
    assert len(sink.handler.kept) == 1


def test_no_password_without_tls_unless_a_setting_says_so() -> None:
    seen: list[bytes] = []

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        seen.append(data.password)
        return AuthResult(success=True)

    with Sink(authenticator=check, auth_require_tls=False) as sink:
        arguments: dict[str, Any] = {"username": "ops", "password": SecretStr("secret")}
        with pytest.raises(Unavailable, match="OPS_SMTP_PASSWORD_WITHOUT_TLS"):
            sink.mailer(**arguments).send(mail())
        assert (seen, sink.handler.kept) == ([], [])
        sink.mailer(password_without_tls=True, **arguments).send(mail())
    assert (seen, len(sink.handler.kept)) == ([b"secret"], 1)
    values = {"OPS_SMTP_USERNAME": "ops", "OPS_SMTP_PASSWORD": "secret"}
    assert not mailer(load_settings(values)).password_without_tls
    assert mailer(load_settings({**values, "OPS_SMTP_PASSWORD_WITHOUT_TLS": "true"})).password_without_tls


def test_a_domain_with_other_letters_needs_nothing_of_the_server() -> None:
    with Sink(enable_SMTPUTF8=False) as sink:
        sink.mailer().send(mail(recipients=["anna@Bücher.example"]))
    (message,) = sink.handler.kept
    assert message["To"] == message["X-RcptTo"] == "anna@xn--bcher-kva.example"


def test_a_sender_may_have_a_name() -> None:
    with Sink() as sink:
        replace(sink.mailer(), sender="Acme <privacy@bücher.example>").send(mail())
    (message,) = sink.handler.kept
    assert (message["From"], message["X-MailFrom"]) == (
        "Acme <privacy@xn--bcher-kva.example>",
        "privacy@xn--bcher-kva.example",
    )
    assert message["Message-ID"].endswith("@xn--bcher-kva.example>")


def test_a_name_with_other_letters_goes_to_a_server_that_takes_it() -> None:
    name = "jürgen@bücher.example"
    with Sink(enable_SMTPUTF8=True) as sink:
        sink.mailer().send(mail(recipients=[name]))
    (message,) = sink.handler.kept
    assert message["X-RcptTo"] == "jürgen@xn--bcher-kva.example"
    with Sink(enable_SMTPUTF8=False) as sink, pytest.raises(MailRefused, match="SMTPUTF8") as refused:
        sink.mailer().send(mail(recipients=[name]))
    assert "jürgen" not in str(refused.value)


@pytest.mark.parametrize("domain", ["bü..example", "-ü.example", "ü" * 70 + ".example", "‍.example"])
def test_a_domain_that_is_none_is_said_without_the_address(domain: str) -> None:
    with pytest.raises(ConfigurationError, match="IDNA") as refused:
        ascii_domain(f"anna@{domain}")
    assert "anna" not in str(refused.value)


def test_a_server_without_starttls_is_said() -> None:
    with Sink() as sink, pytest.raises(Unavailable, match="OPS_SMTP_SECURITY"):
        sink.mailer(security="starttls").send(mail())


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("550 5.1.1 <anna@example.org> unknown", MailRefused),
        ("451 4.7.1 <anna@example.org> later", Unavailable),
    ],
)
def test_a_refused_recipient_is_not_named(reply: str, kind: type[OpsError]) -> None:
    with Sink(handler=Keep(reply)) as sink, pytest.raises(kind) as refused:
        sink.mailer().send(mail())
    text = str(refused.value)
    assert "anna" not in text
    assert "example.org" not in text
    assert reply[:3] in text
    assert "\n" not in text


def test_no_server_is_one_line() -> None:
    port = free_ports(1)[0]
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}: Connection refused"):
        Mailer("127.0.0.1", port, SENDER).send(mail())


@pytest.mark.parametrize(
    "changes", [{"subject": "a\nBcc: eve@example.org"}, {"recipients": ["a@b\nc"]}, {"recipients": []}]
)
def test_headers_cannot_be_smuggled(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Mailer("127.0.0.1", 1, SENDER).send(mail(**changes))
    assert "eve" not in str(refused.value)


@pytest.mark.parametrize("address", ["x@[", "ann@[mail.example", "x@[1.2.3.4", "@", "<", "a b@c", '"@x'])
def test_an_address_that_is_none_is_our_error_and_no_other(address: str) -> None:
    """The email package raises what it likes, or writes it; then the server is asked, which is away here."""
    with pytest.raises(OpsError) as refused:
        Mailer("127.0.0.1", free_ports(1)[0], SENDER).send(mail(recipients=[address]))
    assert isinstance(refused.value, ConfigurationError | Unavailable)


def test_the_mailer_of_the_settings() -> None:
    settings = load_settings(
        {
            "OPS_SMTP_HOST": "mail.example.org",
            "OPS_SMTP_PORT": "587",
            "OPS_SMTP_SECURITY": "starttls",
            "OPS_DATABASE_URL": "",
        }
    )
    found = mailer(settings)
    assert (found.host, found.port, found.security) == ("mail.example.org", 587, "starttls")
