"""The last mail to a subject: their data are deleted, these are kept, here is the certificate."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from ops_platform.clients.mail import outbox, smtp
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.certificates import Issued, html_page, trusted_time
from ops_platform.gdpr.requests import Language, Text

GIVE_UP_AFTER = timedelta(days=30)
"""The certificate cannot be had in another way: the account is gone, and with it the way to sign in."""
_SUBJECTS = {
    "en": "Your account and your data have been deleted for good",
    "fr": "Votre compte et vos données ont été supprimés définitivement",
}
_BODIES = {
    "en": """Your account and your data have been deleted
============================================

Your account and everything that was stored about you have been deleted for good, as you asked{except_listed}.

Reference:   {request_id}
Certificate: {certificate_id}

The certificate is attached, to check and as a page to read: keep it. It is signed, says what was
deleted where, and names nobody.

{kept}{accepted}Backups made before cannot be changed. The last one that can hold your data expires on
{expires}; whatever is restored until then is deleted again before it is used.
{unknown}
This is our last mail to you: your address is deleted, too.
""",
    "fr": """Votre compte et vos données ont été supprimés
=============================================

Votre compte et tout ce qui était enregistré à votre sujet ont été supprimés définitivement, comme
vous l'avez demandé{except_listed}.

Référence :  {request_id}
Certificat : {certificate_id}

Le certificat est joint, à vérifier et sous forme de page à lire : gardez-le. Il est signé, dit ce
qui a été supprimé et où, et ne nomme personne.

{kept}{accepted}Les sauvegardes antérieures ne peuvent pas être modifiées. La dernière qui peut contenir vos
données expire le {expires} ; tout ce qui serait restauré d'ici là est supprimé de nouveau avant usage.
{unknown}
C'est notre dernier message : votre adresse est supprimée, elle aussi.
""",
}
_KEPT = {
    "en": "The law makes us keep:\n{lines}\n\n",
    "fr": "La loi nous oblige à conserver :\n{lines}\n\n",
}
_ACCEPTED = {
    "en": "You stay named in:\n{lines}\n\n",
    "fr": "Vous restez nommé dans :\n{lines}\n\n",
}
_UNKNOWN = {
    "en": "Backups of {names} are not made by this platform: until when they hold your data is not known.\n",
    "fr": "Les sauvegardes de {names} ne sont pas faites par cette plateforme : on ne sait pas\n"
    "jusqu'à quand elles contiennent vos données.\n",
}
_EXCEPT = {"en": ",\nexcept what is listed below", "fr": ", sauf ce qui est indiqué ci-dessous"}


def text(language: Language, issued: Issued) -> Text:
    """Compose the mail from the certificate."""
    document = json.loads(issued.document)
    kept = [
        f"- {kept['table']}: {kept['basis']}; {kept['term']}"
        for kept in document["kept_by_law"]
        if kept["rows"]
    ]
    accepted = [f"- {accepted['place']}: {accepted['because']}" for accepted in document.get("accepted", ())]
    unknown = [
        database["name"]
        for database in document.get("databases", ())
        if database.get("last_backup_expires_at", "known") is None
    ]
    body = _BODIES[language].format(
        request_id=issued.request_id,
        certificate_id=issued.certificate_id,
        except_listed=_EXCEPT[language] if kept or accepted else "",
        kept=_list(_KEPT[language], kept),
        accepted=_list(_ACCEPTED[language], accepted),
        expires=document["last_backup_expires_at"][:10],
        unknown=_UNKNOWN[language].format(names=", ".join(unknown)) if unknown else "",
    )
    return Text(_SUBJECTS[language], body)


def _list(heading: str, lines: list[str]) -> str:
    return heading.format(lines="\n".join(lines)) if lines else ""


def write(ops: Connection, language: Language, email: str, issued: Issued, now: datetime) -> None:
    """Put mail and certificate into the outbox, in the caller's transaction, once for each request."""
    mail = text(language, issued)
    certificate = smtp.Attachment(
        issued.file_name, "application/json", issued.as_file(trusted_time.find(ops, issued.request_id))
    )
    page = smtp.Attachment(issued.page_name, "text/html", html_page.page(issued, language))
    outbox.put(
        ops,
        f"gdpr-erased:{issued.request_id}",
        email,
        mail.subject,
        mail.body,
        attachments=[certificate, page],
        give_up_after=GIVE_UP_AFTER,
        now=now,
    )
