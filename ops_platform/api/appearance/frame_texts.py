"""The texts around every page: head and footer."""

from __future__ import annotations

from collections.abc import Mapping

from ops_platform.gdpr.requests import Language

TEXTS: Mapping[Language, Mapping[str, str]] = {
    "en": {"brand": "Your data", "language": "Language", "privacy": "Privacy notice", "contact": "Contact"},
    "fr": {
        "brand": "Vos données",
        "language": "Langue",
        "privacy": "Politique de confidentialité",
        "contact": "Nous contacter",
    },
}
