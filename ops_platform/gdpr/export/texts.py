"""The texts of an export in English and French: of its page, and of the rights in about.json."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform.gdpr.requests import Language

EN = {
    "title": "Your data",
    "made": "Put together on {date}, as of one moment.",
    "how": "Everything that is stored about you is in this archive as JSON, which programs and people can "
    "read: files that end in .json hold a list, files that end in .jsonl one entry a line. Binary "
    "values are in base64. manifest.json lists every file with its SHA-256, about.json says what the"
    " data are for, schema.json describes the files to programs.",
    "others": "Other people are left out, or stand as person-… with a made-up name that is the same "
    "throughout this archive and in no other. What you or they wrote in texts is as it was written.",
    "contents": "What is stored",
    "retention": "How long it is kept",
    "entries": "Entries: {count}",
    "files": "Files: {count}",
    "technical": "Technical details",
    "yes": "yes",
    "no": "no",
    "binary": "binary, {bytes} bytes",
    "empty": "Nothing about you is stored here",
    "first": "The first {shown} of {rows} entries",
    "shared": "Shared with others: only what concerns you is shown.",
    "recipients": "Who else processes your data",
    "no-recipients": "Nobody else.",
    "rights": "Your rights",
    "controller": "Who is responsible for your data",
    "contact": "Contact: {contact}",
    "representative": "Representative in the Union: {representative}",
    "dpo": "Data protection officer: {dpo}",
    "supervisory_authority": "Supervisory authority: {authority}",
    "sources": "Where your data come from",
    "third_countries": "Transfers to countries outside the European Union",
    "no-third_countries": "There are none.",
    "automated_decisions": "Decisions that are made without a person",
    "no-automated_decisions": "There are none.",
}
FR = {
    "title": "Vos données",
    "made": "Réunies le {date}, telles qu'à un seul instant.",
    "how": "Tout ce qui est enregistré à votre sujet se trouve dans cette archive au format JSON, lisible "
    "par des programmes et par des personnes : les fichiers .json contiennent une liste, les "
    "fichiers .jsonl une entrée par ligne. Les valeurs binaires sont en base64. manifest.json "
    "énumère tous les fichiers avec leur SHA-256, about.json dit à quoi servent les données, "
    "schema.json décrit les fichiers aux programmes.",
    "others": "Les autres personnes n'y figurent pas, ou sous un nom inventé person-…, le même dans toute "
    "cette archive et dans aucune autre. Ce que vous ou elles avez écrit dans des textes est tel "
    "quel.",
    "contents": "Ce qui est enregistré",
    "retention": "Durée de conservation",
    "entries": "Entrées : {count}",
    "files": "Fichiers : {count}",
    "technical": "Détails techniques",
    "yes": "oui",
    "no": "non",
    "binary": "binaire, {bytes} octets",
    "empty": "Ici, rien n'est enregistré à votre sujet",
    "first": "Les {shown} premières entrées sur {rows}",
    "shared": "Partagé avec d'autres : seul ce qui vous concerne est montré.",
    "recipients": "Qui d'autre traite vos données",
    "no-recipients": "Personne d'autre.",
    "rights": "Vos droits",
    "controller": "Qui répond de vos données",
    "contact": "Contact : {contact}",
    "representative": "Représentant dans l'Union : {representative}",
    "dpo": "Délégué à la protection des données : {dpo}",
    "supervisory_authority": "Autorité de contrôle : {authority}",
    "sources": "D'où viennent vos données",
    "third_countries": "Transferts vers des pays hors de l'Union européenne",
    "no-third_countries": "Il n'y en a pas.",
    "automated_decisions": "Décisions prises sans intervention humaine",
    "no-automated_decisions": "Il n'y en a pas.",
}
RIGHTS_EN = (
    ("Art. 15", "To know what is stored about you, and to have a copy: this archive."),
    ("Art. 16", "To have what is wrong corrected."),
    ("Art. 17", "To have your data erased."),
    ("Art. 18", "To have their processing restricted."),
    ("Art. 20", "To take your data along to somebody else: this archive can be read by machines."),
    ("Art. 21", "To object to their processing."),
    ("Art. 77", "To complain to a supervisory authority."),
)
RIGHTS_FR = (
    ("Art. 15", "Savoir ce qui est enregistré à votre sujet et en obtenir une copie : cette archive."),
    ("Art. 16", "Faire rectifier ce qui est inexact."),
    ("Art. 17", "Faire effacer vos données."),
    ("Art. 18", "Faire limiter leur traitement."),
    ("Art. 20", "Transmettre vos données à quelqu'un d'autre : cette archive est lisible par une machine."),
    ("Art. 21", "Vous opposer à leur traitement."),
    ("Art. 77", "Introduire une réclamation auprès d'une autorité de contrôle."),
)
TEXTS: Mapping[Language, Mapping[str, str]] = {"en": EN, "fr": FR}
RIGHTS: Mapping[Language, tuple[tuple[str, str], ...]] = {"en": RIGHTS_EN, "fr": RIGHTS_FR}
