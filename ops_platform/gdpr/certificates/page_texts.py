"""The texts of the certificate's page, in English and French."""

from __future__ import annotations

from collections.abc import Mapping

EN = {
    "title": "Certificate of an erasure",
    "intro": "An account and everything that was stored about its owner were deleted. This page is for "
    "reading; the file that came with it, {file}, is signed and can be checked.",
    "controller": "Who answers for the data",
    "request": "Request",
    "certificate": "Certificate",
    "received": "Asked for",
    "confirmed": "Confirmed",
    "due": "Due",
    "done": "Done",
    "issued": "Certificate issued",
    "expires": "The last backup with the data expires",
    "database": "Database",
    "map": "Data map",
    "what": "What was done",
    "store": "Where",
    "action": "What",
    "before": "Found",
    "changed": "Changed",
    "after": "Left",
    "kept": "What the law makes us keep",
    "accepted": "Where the person stays named",
    "rows": "rows",
    "searched": "What was searched afterwards",
    "columns": "{columns} columns of {tables} tables were searched for: {names}. Nothing was found.",
    "not_searched": "Not searched for, but where the map finds people by it",
    "processors": "Others who process the data",
    "told": "told {told}, answered {answered}",
    "never": "not by the time of this certificate",
    "limits": "What no erasure can change",
    "unknown": "not known",
}
FR = {
    "title": "Certificat d'effacement",
    "intro": "Un compte et tout ce qui était enregistré au sujet de son titulaire ont été supprimés. "
    "Cette page est destinée à la lecture ; le fichier joint, {file}, est signé et peut être vérifié.",
    "controller": "Qui répond du traitement",
    "request": "Demande",
    "certificate": "Certificat",
    "received": "Demandé le",
    "confirmed": "Confirmé le",
    "due": "Échéance",
    "done": "Terminé le",
    "issued": "Certificat établi le",
    "expires": "La dernière sauvegarde contenant les données expire le",
    "database": "Base de données",
    "map": "Plan des données",
    "what": "Ce qui a été fait",
    "store": "Où",
    "action": "Quoi",
    "before": "Trouvé",
    "changed": "Modifié",
    "after": "Restant",
    "kept": "Ce que la loi oblige à conserver",
    "accepted": "Où la personne reste nommée",
    "rows": "lignes",
    "searched": "Ce qui a été recherché ensuite",
    "columns": "{columns} colonnes de {tables} tables ont été parcourues à la recherche de : {names}. Rien "
    "n'a été trouvé.",
    "not_searched": "Non recherché, sauf là où le plan trouve des personnes par ce moyen",
    "processors": "Sous-traitants",
    "told": "prévenu le {told}, réponse le {answered}",
    "never": "pas à la date de ce certificat",
    "limits": "Ce qu'aucun effacement ne peut changer",
    "unknown": "inconnu",
}
TEXTS: Mapping[str, Mapping[str, str]] = {"en": EN, "fr": FR}
