"""The texts of the confirmation page, in English and French."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform.gdpr.requests import Language

EN = {
    "title": "Confirm your request",
    "intro": "You, or somebody signed in to your account, asked for your data to be deleted or copied. "
    "Nothing happens until you confirm it here.",
    "manual": "Type or paste what is in the mail. Spaces, hyphens and small letters "
    "do not matter in the code.",
    "request": "Request",
    "code": "Code",
    "look": "Continue",
    "what_erasure": "Within 72 hours your account and everything that is stored about you is deleted for "
    "good. Once the work has begun, it cannot be undone.",
    "kept": "What the law makes us keep is kept, and is listed on the certificate that you get by mail.",
    "backups": "Copies in backups disappear when the backups expire. Until then they are deleted again "
    "whenever a backup is restored.",
    "what_export": "Within 72 hours everything that is stored about you is put together as one file. "
    "Nothing is deleted.",
    "download": "You get a mail when it is ready. Then you can download it for 72 hours.",
    "cancel": "You can cancel until the work begins.",
    "stranger": "If it was not you who asked, close this page and change your password.",
    "copy": "A copy of your data can still be downloaded until {until}. Deleting your data deletes this "
    "copy, too.",
    "copy_choice": "Have you downloaded your copy?",
    "copy_wait": "Wait until I have downloaded it: three hours from the start of the download, longer for a "
    "large copy, at the latest until {until}",
    "copy_delete": "Do not wait: delete the copy with the rest",
    "consent": "I have read the privacy notice and agree that my request is handled as described here.",
    "follow": "See how far it is, download or cancel",
    "noscript": "This page needs JavaScript to send the code, so that it never appears in an address.",
    "working": "One moment…",
    "done-erasure": "Confirmed. Your account and your data will be deleted within 72 hours.",
    "done-waiting": "Confirmed. Download your copy now: your account and your data will be deleted three "
    "hours after the download has begun, later if the copy is large, at the latest from {until} on.",
    "done-export": "Confirmed. Your copy will be ready for download within 72 hours.",
    "not-found": "This code does not fit. Perhaps a letter is missing, or a newer mail has replaced it.",
    "already-confirmed": "This request was confirmed before. There is nothing to do.",
    "cancelled": "This request was cancelled. Make a new one if you still want it.",
    "expired": "This code is no longer valid. Make the request again; you will get a new mail.",
    "rate-limited": "Too many attempts. Please wait 15 minutes, then open the link in your mail again.",
    "consent-missing": "Please agree to the wording above first.",
    "unavailable": "That did not work. Please try again in a minute; the code is still good.",
    "incomplete": "Please fill in the request and the code.",
}
FR = {
    "title": "Confirmez votre demande",
    "intro": "Vous, ou une personne connectée à votre compte, avez demandé la suppression ou une copie de "
    "vos données. Rien ne se passe avant votre confirmation ici.",
    "manual": "Saisissez ou collez ce qui figure dans le message. Les espaces, les tirets et les minuscules "
    "ne comptent pas dans le code.",
    "request": "Demande",
    "code": "Code",
    "look": "Continuer",
    "what_erasure": "Dans les 72 heures, votre compte et tout ce qui est enregistré à votre sujet sont "
    "supprimés définitivement. C'est irréversible.",
    "kept": "Ce que la loi nous oblige à garder est conservé et figure sur le certificat que vous recevez "
    "par e-mail.",
    "backups": "Les copies dans les sauvegardes disparaissent quand celles-ci expirent. D'ici là, elles sont "
    "supprimées de nouveau à chaque restauration.",
    "what_export": "Dans les 72 heures, tout ce qui est enregistré à votre sujet est réuni en un fichier. "
    "Rien n'est supprimé.",
    "download": "Un message vous prévient quand il est prêt. Vous pouvez alors le télécharger pendant 72 "
    "heures.",
    "cancel": "Vous pouvez annuler jusqu'au début du traitement.",
    "stranger": "Si la demande ne vient pas de vous, fermez cette page et changez votre mot de passe.",
    "copy": "Une copie de vos données peut encore être téléchargée jusqu'au {until}. La suppression de vos "
    "données supprime aussi cette copie.",
    "copy_choice": "Avez-vous téléchargé votre copie ?",
    "copy_wait": "Attendre que je l'aie téléchargée : trois heures à partir du début du téléchargement, plus "
    "longtemps pour une grande copie, au plus tard jusqu'au {until}",
    "copy_delete": "Ne pas attendre : supprimer la copie avec le reste",
    "consent": "J'ai lu la politique de confidentialité et j'accepte que ma demande soit "
    "traitée comme décrit ici.",
    "follow": "Suivre, télécharger ou annuler",
    "noscript": "Cette page a besoin de JavaScript pour envoyer le code, afin qu'il n'apparaisse jamais dans "
    "une adresse.",
    "working": "Un instant…",
    "done-erasure": "Confirmé. Votre compte et vos données seront supprimés dans les 72 heures.",
    "done-waiting": "Confirmé. Téléchargez maintenant votre copie : votre compte et vos données seront "
    "supprimés trois heures après le début du téléchargement, plus tard si la copie est grande, au plus tard "
    "à partir du {until}.",
    "done-export": "Confirmé. Votre copie pourra être téléchargée dans les 72 heures.",
    "not-found": "Ce code ne convient pas. Il manque peut-être une lettre, ou un message plus "
    "récent l'a remplacé.",
    "already-confirmed": "Cette demande a déjà été confirmée. Il n'y a rien à faire.",
    "cancelled": "Cette demande a été annulée. Faites-en une nouvelle si vous la souhaitez encore.",
    "expired": "Ce code n'est plus valable. Refaites la demande ; vous recevrez un nouveau message.",
    "rate-limited": "Trop d'essais. Attendez 15 minutes, puis ouvrez de nouveau le lien de votre message.",
    "consent-missing": "Acceptez d'abord le texte ci-dessus.",
    "unavailable": "Cela n'a pas fonctionné. Réessayez dans une minute ; le code reste valable.",
    "incomplete": "Indiquez la demande et le code.",
}
TEXTS: Mapping[Language, Mapping[str, str]] = {"en": EN, "fr": FR}
GOOD = ("done-erasure", "done-waiting", "done-export", "already-confirmed")
BAD = ("not-found", "cancelled", "expired", "rate-limited", "consent-missing", "unavailable", "incomplete")
"""Messages that the page can end with; their elements have these ids."""
