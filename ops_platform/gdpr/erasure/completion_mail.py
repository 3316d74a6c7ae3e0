"""The last mail to a subject: their data are erased, and these are kept by law."""

from __future__ import annotations

import json
from datetime import datetime

from ops_platform.clients.mail import outbox
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.certificates import Issued
from ops_platform.gdpr.requests import Language, Text

_SUBJECTS = {
    "en": "Your account and your data have been erased",
    "fr": "Votre compte et vos données ont été effacés",
}
_BODIES = {
    "en": """Your account and your data have been erased, as you asked.

Reference:   {request_id}
Certificate: {certificate_id}

{kept}Backups made before cannot be changed. The last one that can hold your data expires on {expires};
whatever is restored until then is erased again before it is used.

This is our last mail to you: your address is erased, too.
""",
    "fr": """Votre compte et vos données ont été effacés, comme vous l'avez demandé.

Référence :  {request_id}
Certificat : {certificate_id}

{kept}Les sauvegardes antérieures ne peuvent pas être modifiées. La dernière qui peut contenir vos données
expire le {expires} ; tout ce qui serait restauré d'ici là est effacé de nouveau avant usage.

C'est notre dernier message : votre adresse est effacée, elle aussi.
""",
}
_KEPT = {
    "en": "The law makes us keep:\n{lines}\n\n",
    "fr": "La loi nous oblige à conserver :\n{lines}\n\n",
}


def text(language: Language, issued: Issued) -> Text:
    """Compose the mail from the certificate."""
    document = json.loads(issued.document)
    lines = [
        f"- {kept['table']}: {kept['basis']}; {kept['term']}"
        for kept in document["kept_by_law"]
        if kept["rows"]
    ]
    body = _BODIES[language].format(
        request_id=issued.request_id,
        certificate_id=issued.certificate_id,
        kept=_KEPT[language].format(lines="\n".join(lines)) if lines else "",
        expires=document["last_backup_expires_at"][:10],
    )
    return Text(_SUBJECTS[language], body)


def write(ops: Connection, language: Language, email: str, issued: Issued, now: datetime) -> None:
    """Put the mail into the outbox, in the caller's transaction, once for each request."""
    mail = text(language, issued)
    outbox.put(ops, f"gdpr-erased:{issued.request_id}", email, mail.subject, mail.body, now=now)
