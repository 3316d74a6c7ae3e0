"""The categories of personal data that a map may name: those of the Fides taxonomy, by their keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_BELOW_USER: Mapping[str, str] = {
    "account": "settings username",
    "authorization": "biometric credentials password",
    "behavior": "browsing_history media_consumption purchase_history search_history",
    "biometric": "fingerprint health retinal voice",
    "childrens": "",  # codespell:ignore childrens
    "contact": "address email fax_number organization phone_number url",
    "contact.address": "city country postal_code state street",
    "content": "private public self_image",
    "demographic": "age_range date_of_birth gender language marital_status political_opinion profile "
    "race_ethnicity religious_belief sexual_orientation",
    "device": "cookie cookie_id device_id ip_address",
    "financial": "bank_account credit_card",
    "government_id": "birth_certificate drivers_license_number immigration national_identification_number "
    "passport_number vehicle_registration",
    "health_and_medical": "genetic insurance_beneficiary_id record_id",
    "job_title": "",
    "location": "imprecise precise",
    "name": "first last",
    "payment": "",
    "privacy_preferences": "",
    "sensor": "",
    "social": "",
    "telemetry": "",
    "unique_id": "pseudonymous",
    "user_sensor": "",
    "workplace": "",
}


def _keys() -> Iterator[str]:
    yield "user"
    for category, narrower in _BELOW_USER.items():
        yield f"user.{category}"
        for name in narrower.split():
            yield f"user.{category}.{name}"


CATEGORIES = frozenset(_keys())
"""Keys such as ``user.contact.email``."""
