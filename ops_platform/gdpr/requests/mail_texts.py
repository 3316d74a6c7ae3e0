"""The texts of mails to data subjects, in each language. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Language = Literal["en", "fr"]
RequestType = Literal["erasure", "export"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")

HEADINGS: Mapping[tuple[Language, RequestType], str] = {
    ("en", "erasure"): "Delete my account and data for good",
    ("en", "export"): "A copy of my data",
    ("fr", "erasure"): "Supprimer définitivement mon compte et mes données",
    ("fr", "export"): "Une copie de mes données",
}
"""What the person asked for, in their own words: the heading of mails and pages."""
BUTTONS: Mapping[tuple[Language, RequestType], str] = {
    **HEADINGS,
    ("en", "export"): "Prepare my copy",
    ("fr", "export"): "Préparer ma copie",
}
"""The button of the page, which the mail names."""
_SUBJECTS = {
    ("en", "erasure"): "Please confirm: delete your account and your data for good",
    ("en", "export"): "Please confirm: a copy of your data",
    ("fr", "erasure"): "À confirmer : suppression définitive de votre compte et de vos données",
    ("fr", "export"): "À confirmer : une copie de vos données",
}
_ASKED = {
    ("en", "erasure"): "Somebody signed in to your account asked us to delete it for good, with everything\n"
    "that is stored about you. Once you confirm and the work has begun, it cannot be undone.",
    ("en", "export"): "Somebody signed in to your account asked us for a copy of everything that is stored\n"
    "about you. Nothing is deleted.",
    ("fr", "erasure"): "Quelqu'un qui est connecté à votre compte nous a demandé de le supprimer\n"
    "définitivement, avec tout ce qui est enregistré à votre sujet. Une fois le traitement\n"
    "commencé, c'est irréversible.",
    ("fr", "export"): "Quelqu'un qui est connecté à votre compte nous a demandé une copie de tout ce qui\n"
    "est enregistré à votre sujet. Rien n'est supprimé.",
}
_EXPORT_GOES = {
    "en": """
A copy of your data can still be downloaded until {until:%Y-%m-%d %H:%M} UTC. Deleting your
data deletes that copy, too. The page offers to wait until you have downloaded it.
""",
    "fr": """
Une copie de vos données peut encore être téléchargée jusqu'au {until:%Y-%m-%d %H:%M} UTC. La
suppression de vos données supprime aussi cette copie. La page propose d'attendre que vous
l'ayez téléchargée.
""",
}
_BODIES = {
    "en": """{heading}
{underline}

{asked}
{export_goes}
To confirm, open this page and press its button
"{button}":

{link}

If the page asks for them, type or paste:

Request: {request_id}
Code:    {code}

Afterwards you can follow it, or cancel it, here: {status_page}

The code works once, for 24 hours. Nothing happens without it: if it was not you who asked, do
nothing, tell nobody the code, and change your password.
""",
    "fr": """{heading}
{underline}

{asked}
{export_goes}
Pour confirmer, ouvrez cette page et appuyez sur son bouton
« {button} » :

{link}

Si la page vous les demande, saisissez ou collez :

Demande : {request_id}
Code :    {code}

Ensuite vous pouvez la suivre, ou l'annuler, ici : {status_page}

Le code fonctionne une seule fois, pendant 24 heures. Sans lui, rien ne se passe : si la demande
ne vient pas de vous, ne faites rien, ne donnez le code à personne et changez votre mot de passe.
""",
}
_READY = {
    "en": (
        "Your data are ready",
        """The copy of your data that you asked for is ready. You can download it until
{until:%Y-%m-%d %H:%M} UTC, signed in to your account, where you made the request, or here:

{status_page}

{then}

Request: {request_id}

If it was not you who asked, change your password.
""",
    ),
    "fr": (
        "Vos données sont prêtes",
        """La copie de vos données que vous avez demandée est prête. Vous pouvez la télécharger
jusqu'au {until:%Y-%m-%d %H:%M} UTC, une fois connecté à votre compte, là où vous l'avez demandée,
ou ici :

{status_page}

{then}

Demande : {request_id}

Si la demande ne vient pas de vous, changez votre mot de passe.
""",
    ),
}
_THEN = {
    ("en", False): "Then it is deleted; you can ask for another one at any time. If you have your data\n"
    "deleted before, this copy goes with them; you are asked first whether that is to wait.",
    ("en", True): "You have asked for your data to be erased, too: that is done, and this copy deleted,\n"
    "three hours after you have begun to download it (later if it is large), and in any case then.",
    ("fr", False): "Ensuite elle est supprimée ; vous pouvez en demander une autre à tout moment. Si vous\n"
    "faites supprimer vos données avant, cette copie l'est aussi ; il vous est d'abord demandé s'il\n"
    "faut attendre.",
    ("fr", True): "Vous avez aussi demandé l'effacement de vos données : il a lieu, et cette copie est\n"
    "supprimée, trois heures après le début du téléchargement (plus tard si elle est grande), et en\n"
    "tout cas à ce moment-là.",
}
"""The fate of the copy at the end of its time, by language and whether an erasure waits for it."""


@dataclass(frozen=True)
class Text:
    """A mail's subject line and plain-text body."""

    subject: str
    body: str


def verification(
    language: Language,
    request_type: RequestType,
    *,
    link: str,
    request_id: str,
    code: str,
    status_page: str,
    export_until: datetime | None = None,
) -> Text:
    """Write the mail that asks the subject to confirm a request.

    ``export_until``: until when an export can be downloaded that the erasure deletes, too.
    """
    key = (language, request_type)
    body = _BODIES[language].format(
        heading=HEADINGS[key],
        underline="=" * len(HEADINGS[key]),
        asked=_ASKED[key],
        export_goes=_EXPORT_GOES[language].format(until=export_until) if export_until else "",
        button=BUTTONS[key],
        link=link,
        request_id=request_id,
        code=code,
        status_page=status_page,
    )
    return Text(_SUBJECTS[key], body)


def export_ready(
    language: Language, *, request_id: str, status_page: str, until: datetime, erasure_waits: bool = False
) -> Text:
    """Write the mail that announces an export; it has no link to it, which any reader could use."""
    subject, body = _READY[language]
    then = _THEN[language, erasure_waits]
    return Text(subject, body.format(request_id=request_id, status_page=status_page, until=until, then=then))


_SIGN_IN = {
    "en": (
        "Your link to your requests",
        """Your requests
=============

Somebody, you we hope, asked for this link to your requests. Open it to see how far they are, to
download your copy or to cancel:

{link}

It works once, for an hour. If it was not you who asked, do nothing, and tell nobody the link.
""",
    ),
    "fr": (
        "Votre lien vers vos demandes",
        """Vos demandes
============

Quelqu'un, vous sans doute, a demandé ce lien vers vos demandes. Ouvrez-le pour les suivre, pour
télécharger votre copie ou pour annuler :

{link}

Il fonctionne une seule fois, pendant une heure. Si la demande ne vient pas de vous, ne faites
rien et ne donnez le lien à personne.
""",
    ),
}


def sign_in(language: Language, *, link: str) -> Text:
    """Write the mail with the link that signs in to the status page."""
    subject, body = _SIGN_IN[language]
    return Text(subject, body.format(link=link))


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
