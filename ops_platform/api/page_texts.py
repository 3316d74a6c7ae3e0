"""The texts of the confirmation page, in English and French."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform.gdpr.requests import Language

EN = {
    "title": "Confirm your request",
    "intro": "You, or somebody signed in to your account, asked for your data to be erased or copied. "
    "Nothing happens until you confirm it here.",
    "what": "What happens when you confirm",
    "erasure": "If you asked for erasure: within 72 hours your account and everything stored about you is "
    "erased for good. It cannot be undone. What the law makes us keep is kept, and is listed on the "
    "certificate that you get. Copies in backups disappear when the backups expire; until then they are "
    "erased again whenever a backup is restored.",
    "export": "If you asked for a copy: within 72 hours your data is put together as one file. You can "
    "download it for 72 hours while you are signed in; then it is deleted.",
    "cancel": "You can cancel until the work begins, where you made the request.",
    "privacy": "Privacy notice",
    "consent": "I have read the privacy notice and agree that my request is handled as described here.",
    "linked": "The link in your mail has filled in what is needed. Press the button to confirm.",
    "manual": "Type or paste what is in the mail. Spaces, hyphens and small letters "
    "do not matter in the code.",
    "request": "Request",
    "code": "Code",
    "confirm": "Confirm",
    "noscript": "This page needs JavaScript to send the code, so that it never appears in an address.",
    "working": "One moment…",
    "done-erasure": "Confirmed. Your data will be erased within 72 hours.",
    "done-export": "Confirmed. Your data will be ready for download within 72 hours.",
    "not-found": "This code does not fit. Perhaps a letter is missing, or a newer mail has replaced it.",
    "already-confirmed": "This request was confirmed before. There is nothing to do.",
    "cancelled": "This request was cancelled. Make a new one if you still want it.",
    "expired": "This code is no longer valid. Make the request again; you will get a new mail.",
    "rate-limited": "Too many attempts. Please wait 15 minutes, then try again.",
    "consent-missing": "Please agree to the wording above first.",
    "unavailable": "That did not work. Please try again in a minute; the code is still good.",
    "incomplete": "Please fill in the request and the code.",
    "language": "Language",
}
FR = {
    "title": "Confirmez votre demande",
    "intro": "Vous, ou une personne connectée à votre compte, avez demandé l'effacement ou une copie de vos "
    "données. Rien ne se passe avant votre confirmation ici.",
    "what": "Ce qui se passe quand vous confirmez",
    "erasure": "Si vous avez demandé l'effacement : dans les 72 heures, votre compte et tout ce qui est "
    "enregistré à votre sujet sont effacés définitivement. Ce que la loi nous oblige à garder est conservé "
    "et figure sur le certificat que vous recevez. Les copies dans les sauvegardes disparaissent quand "
    "celles-ci expirent ; d'ici là, elles sont effacées de nouveau à chaque restauration.",
    "export": "Si vous avez demandé une copie : dans les 72 heures, vos données sont réunies en un fichier. "
    "Vous pouvez le télécharger pendant 72 heures, une fois connecté ; ensuite il est supprimé.",
    "cancel": "Vous pouvez annuler avant le début du traitement, là où vous avez fait la demande.",
    "privacy": "Politique de confidentialité",
    "consent": "J'ai lu la politique de confidentialité et j'accepte que ma demande soit "
    "traitée comme décrit ici.",
    "linked": "Le lien de votre message a rempli le nécessaire. Appuyez sur le bouton pour confirmer.",
    "manual": "Saisissez ou collez ce qui figure dans le message. Les espaces, les tirets et les minuscules "
    "ne comptent pas dans le code.",
    "request": "Demande",
    "code": "Code",
    "confirm": "Confirmer",
    "noscript": "Cette page a besoin de JavaScript pour envoyer le code, afin qu'il n'apparaisse jamais dans "
    "une adresse.",
    "working": "Un instant…",
    "done-erasure": "Confirmé. Vos données seront effacées dans les 72 heures.",
    "done-export": "Confirmé. Vos données pourront être téléchargées dans les 72 heures.",
    "not-found": "Ce code ne convient pas. Il manque peut-être une lettre, ou un message plus "
    "récent l'a remplacé.",
    "already-confirmed": "Cette demande a déjà été confirmée. Il n'y a rien à faire.",
    "cancelled": "Cette demande a été annulée. Faites-en une nouvelle si vous la souhaitez encore.",
    "expired": "Ce code n'est plus valable. Refaites la demande ; vous recevrez un nouveau message.",
    "rate-limited": "Trop d'essais. Attendez 15 minutes, puis réessayez.",
    "consent-missing": "Acceptez d'abord le texte ci-dessus.",
    "unavailable": "Cela n'a pas fonctionné. Réessayez dans une minute ; le code reste valable.",
    "incomplete": "Indiquez la demande et le code.",
    "language": "Langue",
}
TEXTS: Mapping[Language, Mapping[str, str]] = {"en": EN, "fr": FR}
GOOD = ("done-erasure", "done-export", "already-confirmed")
BAD = ("not-found", "cancelled", "expired", "rate-limited", "consent-missing", "unavailable", "incomplete")
"""Messages that the page can end with; their elements have these ids."""
