"""The look of the pages for data subjects: name, logo, colour, contact and texts of who runs the product."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from ops_platform.api.appearance import confirmation_texts, frame_texts, status_texts
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.requests import LANGUAGES, Language
from ops_platform.settings import PageSettings

LARGEST_LOGO_BYTES = 256 * 1024
LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}
PageName = Literal["frame", "confirmation", "status"]
TEXTS: Mapping[PageName, Mapping[Language, Mapping[str, str]]] = {
    "frame": frame_texts.TEXTS,
    "confirmation": confirmation_texts.TEXTS,
    "status": status_texts.TEXTS,
}
"""The texts of each page, and of the frame around all; the same name is another text on another page."""
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
NameT = TypeVar("NameT", bound=str)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Logo:
    """An image file as it is served."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class Brand:
    """The look of the pages. ``texts``: by language and page, texts that replace those of the same name."""

    name: str | None = None
    colour: str = "#1f3a5f"
    logo: Logo | None = None
    contact: str | None = None
    texts: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    def own(self, language: Language, page: PageName) -> dict[str, str]:
        """Return a page's texts, replaced where the brand has texts of its own."""
        return {**TEXTS[page][language], **self.texts.get(language, {}).get(page, {})}

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


def _texts(file: Path) -> dict[str, dict[str, dict[str, str]]]:
    try:
        document: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise ConfigurationError(f"OPS_PAGE_TEXTS_FILE: {file} cannot be read as YAML: correct it") from None
    languages = _level(document, LANGUAGES, str(file))
    return {
        language: {
            page: _page_texts(texts, TEXTS[page]["en"], f"{language}: {page}")
            for page, texts in _level(pages, tuple(TEXTS), language).items()
        }
        for language, pages in languages.items()
    }


def _level(document: Any, names: Sequence[NameT], where: str) -> dict[NameT, Any]:
    if not isinstance(document, dict) or not set(document) <= set(names):
        raise ConfigurationError(f"OPS_PAGE_TEXTS_FILE: {where}: must map some of {', '.join(names)}")
    return document


def _page_texts(texts: Any, originals: Mapping[str, str], page: str) -> dict[str, str]:
    if not isinstance(texts, dict):
        raise ConfigurationError(f"OPS_PAGE_TEXTS_FILE: {page}: must map names to texts")
    for name, text in texts.items():
        where = f"OPS_PAGE_TEXTS_FILE: {page}: {name}"
        if name not in originals:
            raise ConfigurationError(f"{where}: there is no such text: correct the name")
        known = set(_PLACEHOLDER.findall(originals[name]))
        if not isinstance(text, str) or not set(_PLACEHOLDER.findall(text)) <= known:
            raise ConfigurationError(f"{where}: must be a text with no other placeholders than the original")
    return texts
