"""The last mail to a subject: their data are deleted, these are kept by law, here is the certificate."""

from __future__ import annotations

import json
from datetime import datetime

from ops_platform.clients.mail import outbox, smtp
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.certificates import Issued
from ops_platform.gdpr.requests import Language, Text

_SUBJECTS = {
    "en": "Your account and your data have been deleted for good",
    "fr": "Votre compte et vos données ont été supprimés définitivement",
}
_BODIES = {
    "en": """Your account and your data have been deleted
============================================

Your account and everything that was stored about you have been deleted for good, as you asked.

Reference:   {request_id}
Certificate: {certificate_id}

The certificate is attached: keep it. It is signed, says what was deleted where, and names nobody.

{kept}Backups made before cannot be changed. The last one that can hold your data expires on {expires};
whatever is restored until then is deleted again before it is used.

This is our last mail to you: your address is deleted, too.
""",
    "fr": """Votre compte et vos données ont été supprimés
=============================================

Votre compte et tout ce qui était enregistré à votre sujet ont été supprimés définitivement, comme
vous l'avez demandé.

Référence :  {request_id}
Certificat : {certificate_id}

Le certificat est joint : gardez-le. Il est signé, dit ce qui a été supprimé et où, et ne nomme
personne.

{kept}Les sauvegardes antérieures ne peuvent pas être modifiées. La dernière qui peut contenir vos données
expire le {expires} ; tout ce qui serait restauré d'ici là est supprimé de nouveau avant usage.

C'est notre dernier message : votre adresse est supprimée, elle aussi.
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
    """Put mail and certificate into the outbox, in the caller's transaction, once for each request."""
    mail = text(language, issued)
    certificate = smtp.Attachment(issued.file_name, "application/json", issued.as_file())
    outbox.put(
        ops,
        f"gdpr-erased:{issued.request_id}",
        email,
        mail.subject,
        mail.body,
        attachments=[certificate],
        now=now,
    )
