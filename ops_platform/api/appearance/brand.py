"""The look of the pages for data subjects: name, logo, colour, contact and texts of who runs the product."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ops_platform.api.appearance import confirmation_texts, frame_texts, status_texts
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.requests import LANGUAGES, Language
from ops_platform.settings import PageSettings

LARGEST_LOGO_BYTES = 256 * 1024
LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Logo:
    """An image file as it is served."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class Brand:
    """The look of the pages. ``texts``: by language, texts that replace those of the same name."""

    name: str | None = None
    colour: str = "#1f3a5f"
    logo: Logo | None = None
    contact: str | None = None
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def own(self, language: Language, texts: Mapping[str, str]) -> dict[str, str]:
        """Return a page's texts, replaced where the brand has texts of its own."""
        own = self.texts.get(language, {})
        return {name: own.get(name, text) for name, text in texts.items()}

    @property
    def contact_url(self) -> str | None:
        """The contact as a link: an e-mail address as ``mailto:``."""
        if self.contact is None or self.contact.startswith("https://"):
            return self.contact
        return f"mailto:{self.contact}"

    def css(self) -> str:
        """Compose the style sheet of the brand's colour, and of black or white text on it."""
        return f":root {{ --brand: {self.colour}; --on-brand: {readable_on(self.colour)}; }}\n"


def readable_on(colour: str) -> str:
    """Choose black or white text for a background, by WCAG's contrast: at least 4.5 with one of the two."""
    luminance = _luminance(colour)
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000000"


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def from_settings(page: PageSettings) -> Brand:
    """Read colour, logo and texts. Raises ConfigurationError that names the setting."""
    if not _COLOUR.fullmatch(page.colour):
        raise ConfigurationError("OPS_PAGE_COLOUR must be like #1f3a5f")
    contact = page.contact
    if contact is not None and not contact.startswith("https://") and not re.fullmatch(r"\S+@\S+", contact):
        raise ConfigurationError("OPS_PAGE_CONTACT must be an e-mail address or begin with https://")
    logo = _logo(page.logo_file) if page.logo_file else None
    texts = _texts(page.texts_file) if page.texts_file else {}
    return Brand(page.name, page.colour, logo, contact, texts)


def _logo(file: Path) -> Logo:
    media_type = LOGO_TYPES.get(file.suffix.lower())
    if media_type is None:
        raise ConfigurationError(f"OPS_PAGE_LOGO_FILE must be one of {', '.join(LOGO_TYPES)}: convert it")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"OPS_PAGE_LOGO_FILE: cannot read {file}: {error.strerror}") from None
    if len(content) > LARGEST_LOGO_BYTES:
        raise ConfigurationError(
            f"OPS_PAGE_LOGO_FILE: {file} has {len(content)} bytes: {LARGEST_LOGO_BYTES} are the most"
        )
    return Logo(content, media_type)


def _texts(file: Path) -> dict[str, dict[str, str]]:
    known = {**frame_texts.TEXTS["en"], **confirmation_texts.EN, **status_texts.EN}
    try:
        document: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise ConfigurationError(f"OPS_PAGE_TEXTS_FILE: {file} cannot be read as YAML: correct it") from None
    if not isinstance(document, dict) or not set(document) <= set(LANGUAGES):
        raise ConfigurationError(
            f"OPS_PAGE_TEXTS_FILE: {file} must map {' and '.join(LANGUAGES)} to texts by their names"
        )
    for language, texts in document.items():
        for name, text in (texts or {}).items():
            where = f"OPS_PAGE_TEXTS_FILE: {language}: {name}"
            if name not in known:
                raise ConfigurationError(f"{where}: there is no such text: correct the name")
            if not isinstance(text, str) or not set(_PLACEHOLDER.findall(text)) <= set(
                _PLACEHOLDER.findall(known[name])
            ):
                raise ConfigurationError(
                    f"{where}: must be a text with no other placeholders than the original"
                )
    return {language: dict(texts or {}) for language, texts in document.items()}
