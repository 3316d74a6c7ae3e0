"""Mails in the company's name, colour and logo: the same words twice, and nothing loaded from elsewhere."""

from __future__ import annotations

import re
from email.message import EmailMessage
from pathlib import Path

import pytest

from ops_platform.clients.mail import smtp
from ops_platform.clients.mail.look import LARGEST_LOGO_BYTES
from ops_platform.clients.mail.smtp import Attachment, Mail
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.requests import LANGUAGES, Language, mail_texts
from ops_platform.settings import load_settings

LINK = "https://privacy.example.org/api/gdpr/verify?lang=en#request=1&token=ABC"


def sent(mail: Mail, **environ: str) -> EmailMessage:
    """The message as the mailer of these settings would hand it over."""
    settings = load_settings({"OPS_DATABASE_URL": "unused", "OPS_SMTP_SENDER": "ops@example.org", **environ})
    return smtp.mailer(settings)._message(mail)


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def mail_of(language: Language) -> Mail:
    text = mail_texts.verification(
        language, "erasure", link=LINK, request_id="1", code="ABC", status_page="https://p.example/s"
    )
    return Mail(
        ["anna@example.org"],
        text.subject,
        text.body,
        "<1@x>",
        [Attachment("a.json", "application/json", "{}")],
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_says_the_same_in_the_companys_look(language: Language, tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    logo.write_bytes(b"\x89PNG...")
    mail = mail_of(language)
    look = {"OPS_PAGE_NAME": "Rosa & Söhne", "OPS_PAGE_COLOUR": "#b91c1c", "OPS_PAGE_LOGO_FILE": str(logo)}
    message = sent(mail, **look)
    assert message["From"].addresses[0].display_name == "Rosa & Söhne"
    assert part(message, "plain") == mail.text
    html = part(message, "html")
    assert "border-top:6px solid #b91c1c" in html
    assert (
        f'<h1 style="font-size:24px;line-height:1.25">{mail_texts.HEADINGS[language, "erasure"]}</h1>' in html
    )
    assert LINK.replace("&", "&amp;") in html
    # Every word is in both, in the same order.
    shown = re.sub(r"<[^>]+>", " ", html.split("</head>")[1]).replace("&amp;", "&").replace("&#x27;", "'")
    words = [word for word in re.sub("=+\n", "\n", mail.text).split() if word.isalpha()]
    assert [word for word in shown.replace("&quot;", '"').split() if word.isalpha()] == words
    # The logo comes along; nothing else does, and nothing is fetched.
    [source] = re.findall(r'src="([^"]+)"', html)
    assert source == "cid:logo@ops-platform"
    images = [one for one in message.walk() if one.get_content_maintype() == "image"]
    assert [one["Content-ID"] for one in images] == ["<logo@ops-platform>"]
    assert [one.get_filename() for one in message.iter_attachments()] == ["a.json"]


def test_without_a_name_mails_are_plain_as_before() -> None:
    message = sent(mail_of("en"))
    assert message["From"] == "ops@example.org"
    assert message.get_body(("html",)) is None


def test_markup_in_a_mail_is_text() -> None:
    html = part(sent(Mail(["a@b.c"], "<b>", "<script>x</script> \"'&"), OPS_PAGE_NAME="<i>"), "html")
    assert "<script>" not in html
    assert "<i>" not in html


def test_a_kind_of_logo_that_mail_programs_do_not_show_is_left_out(tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg/>", encoding="utf-8")
    html = part(sent(mail_of("en"), OPS_PAGE_NAME="Rosa", OPS_PAGE_LOGO_FILE=str(logo)), "html")
    assert "<strong>Rosa</strong>" in html
    assert "<img" not in html


def test_a_wrong_colour_is_named() -> None:
    with pytest.raises(ConfigurationError, match="OPS_PAGE_COLOUR"):
        sent(mail_of("en"), OPS_PAGE_NAME="Rosa", OPS_PAGE_COLOUR="red")


def test_a_logo_that_cannot_be_used_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    large = tmp_path / "logo.png"
    large.write_bytes(bytes(LARGEST_LOGO_BYTES + 1))
    for file in (str(large), "/no/such.png"):
        caplog.clear()
        html = part(sent(mail_of("en"), OPS_PAGE_NAME="Rosa", OPS_PAGE_LOGO_FILE=file), "html")
        assert "<img" not in html
        assert "OPS_PAGE_LOGO_FILE" in caplog.text
