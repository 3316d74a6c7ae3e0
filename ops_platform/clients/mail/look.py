"""The look of mails: the same words as the text part, as HTML in the company's name, colour and logo. Pure.

Nothing is loaded from elsewhere: the logo comes with the mail.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ops_platform.errors import ConfigurationError
from ops_platform.settings import PageSettings

log = logging.getLogger(__name__)
LOGO_ID = "logo@ops-platform"
LOGO_KINDS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
"""Image files that mail programs show; with another kind, as SVG, a mail has no logo."""
LARGEST_LOGO_BYTES = 256 * 1024
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_URL = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:)]")
_WRAPPED = 60
"""A line that is longer goes on in the next one: texts are wrapped at about 95 characters."""


@dataclass(frozen=True)
class Look:
    """The company's name and colour, and its logo with the kind of image; None: without one."""

    name: str
    colour: str
    logo: bytes | None = None
    logo_kind: str = "png"

    def html(self, text: str, subject: str) -> str:
        """Write a mail's text as HTML; a heading is a line that is underlined."""
        logo = f'<img src="cid:{LOGO_ID}" alt="{escape(self.name)}" height="40">' if self.logo else ""
        head = logo or f"<strong>{escape(self.name)}</strong>"
        return (
            f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{escape(subject)}</title></head>'
            '<body style="margin:0;padding:24px 12px;background:#f4f6f8;color:#16202c;'
            'font:16px/1.5 Arial,Helvetica,sans-serif">'
            '<div style="max-width:600px;margin:0 auto;background:#ffffff;padding:24px;'
            f'border-top:6px solid {self.colour}">{head}{"".join(_parts(text))}</div></body></html>'
        )


def from_settings(page: PageSettings) -> Look | None:
    """Read the look that OPS_PAGE_NAME, _COLOUR and _LOGO_FILE configure; None without a name.

    Raises ConfigurationError for a colour that is none. A logo that cannot be used is left out, with a
    warning: the settings are the pages', on whose host the file is, and mails must leave.
    """
    if page.name is None:
        return None
    if not _COLOUR.fullmatch(page.colour):
        raise ConfigurationError("OPS_PAGE_COLOUR must be like #1f3a5f")
    kind = LOGO_KINDS.get(page.logo_file.suffix.lower()) if page.logo_file else None
    if page.logo_file is None or kind is None:
        return Look(page.name, page.colour)
    return Look(page.name, page.colour, _logo(page.logo_file), kind)


def _logo(file: Path) -> bytes | None:
    try:
        content = file.read_bytes()
    except OSError as error:
        log.warning("mails have no logo: OPS_PAGE_LOGO_FILE: cannot read %s: %s", file, error.strerror)
        return None
    if len(content) > LARGEST_LOGO_BYTES:
        log.warning(
            "mails have no logo: OPS_PAGE_LOGO_FILE: %s has %d bytes: %d are the most",
            file,
            len(content),
            LARGEST_LOGO_BYTES,
        )
        return None
    return content


def _parts(text: str) -> Iterator[str]:
    """Write the paragraphs of a text; lines that were wrapped are joined."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = paragraph.splitlines()
        if len(lines) > 1 and set(lines[1]) == {"="}:
            yield f'<h1 style="font-size:24px;line-height:1.25">{_linked(lines[0])}</h1>'
            lines = lines[2:]
        joined: list[str] = []
        for number, line in enumerate(lines):
            goes_on = number and len(lines[number - 1]) > _WRAPPED and not line.startswith("- ")
            if goes_on:
                joined[-1] += f" {line}"
            else:
                joined.append(line)
        if joined:
            yield f"<p>{'<br>'.join(map(_linked, joined))}</p>"


def _linked(line: str) -> str:
    """Escape a line, and make links of the addresses in it."""
    parts, end = [], 0
    for found in _URL.finditer(line):
        url = escape(found.group())
        parts += [
            escape(line[end : found.start()]),
            f'<a href="{url}" style="overflow-wrap:anywhere">{url}</a>',
        ]
        end = found.end()
    return "".join([*parts, escape(line[end:])])
