"""The texts of mails to data subjects, in each language. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Language = Literal["en", "fr"]
RequestType = Literal["erasure", "export"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")

_SUBJECTS = {
    ("en", "erasure"): "Please confirm: erase your account and your data",
    ("en", "export"): "Please confirm: a copy of your data",
    ("fr", "erasure"): "À confirmer : effacement de votre compte et de vos données",
    ("fr", "export"): "À confirmer : une copie de vos données",
}
_ASKED = {
    ("en", "erasure"): "Somebody signed in to your account asked us to erase it, with all your data.\n"
    "Once you confirm and the work has begun, this cannot be undone.",
    ("en", "export"): "Somebody signed in to your account asked us for a copy of your data.",
    (
        "fr",
        "erasure",
    ): "Quelqu'un qui est connecté à votre compte nous a demandé de l'effacer, avec toutes vos "
    "données.\nUne fois confirmé et commencé, l'effacement est définitif.",
    ("fr", "export"): "Quelqu'un qui est connecté à votre compte nous a demandé une copie de vos données.",
}
_BODIES = {
    "en": """{asked}

To confirm, open this page and press the button there:

{link}

If the page asks for them, type or paste:

Request: {request_id}
Code:    {code}

The code works once, for 24 hours. Nothing happens without it: if it was not you who asked, do
nothing, tell nobody the code, and change your password.
""",
    "fr": """{asked}

Pour confirmer, ouvrez cette page et appuyez sur le bouton :

{link}

Si la page vous les demande, saisissez ou collez :

Demande : {request_id}
Code :    {code}

Le code fonctionne une seule fois, pendant 24 heures. Sans lui, rien ne se passe : si la demande
ne vient pas de vous, ne faites rien, ne donnez le code à personne et changez votre mot de passe.
""",
}
_READY = {
    "en": (
        "Your data are ready",
        """The copy of your data that you asked for is ready. You can download it until
{until:%Y-%m-%d %H:%M} UTC, signed in to your account, where you made the request.
{then}

Request: {request_id}
Address: {api_url}

If it was not you who asked, change your password.
""",
    ),
    "fr": (
        "Vos données sont prêtes",
        """La copie de vos données que vous avez demandée est prête. Vous pouvez la télécharger
jusqu'au {until:%Y-%m-%d %H:%M} UTC, une fois connecté à votre compte, là où vous l'avez demandée.
{then}

Demande : {request_id}
Adresse : {api_url}

Si la demande ne vient pas de vous, changez votre mot de passe.
""",
    ),
}
_THEN = {
    ("en", False): "Then it is deleted; you can ask for another one at any time.",
    ("en", True): "You have asked for your data to be erased, too: that is done, and this copy deleted,\n"
    "when you have downloaded it, and in any case then.",
    ("fr", False): "Ensuite elle est supprimée ; vous pouvez en demander une autre à tout moment.",
    ("fr", True): "Vous avez aussi demandé l'effacement de vos données : il a lieu, et cette copie est\n"
    "supprimée, lorsque vous l'avez téléchargée, et en tout cas à ce moment-là.",
}
"""The fate of the copy at the end of its time, by language and whether an erasure waits for it."""


@dataclass(frozen=True)
class Text:
    """A mail's subject line and plain-text body."""

    subject: str
    body: str


def verification(
    language: Language, request_type: RequestType, *, link: str, request_id: str, code: str
) -> Text:
    """Write the mail that asks the subject to confirm a request."""
    key = (language, request_type)
    body = _BODIES[language].format(asked=_ASKED[key], link=link, request_id=request_id, code=code)
    return Text(_SUBJECTS[key], body)


def export_ready(
    language: Language, *, request_id: str, api_url: str, until: datetime, erasure_waits: bool = False
) -> Text:
    """Write the mail that announces an export. It has no link, which anybody who reads it could use."""
    subject, body = _READY[language]
    then = _THEN[language, erasure_waits]
    return Text(
        subject, body.format(request_id=request_id, api_url=api_url.rstrip("/"), until=until, then=then)
    )


def language_of(accept_language: str | None) -> Language:
    """Choose the best language for an ``Accept-Language`` header (RFC 9110); English when none fits."""
    best: tuple[float, Language] = (0.0, "en")
    for entry in (accept_language or "").split(",")[:20]:
        tag, _, parameters = entry.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        weight = _weight(parameters)
        for language in LANGUAGES:
            if primary in (language, "*") and weight > best[0]:
                best = (weight, "en" if primary == "*" else language)
    return best[1]


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
