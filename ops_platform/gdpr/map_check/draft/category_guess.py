"""The draft's guesses of categories of personal data, by the names of columns."""

from __future__ import annotations

from collections.abc import Sequence

from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.schema import Column

_BY_WORDS: Sequence[tuple[str, str]] = (
    # The first that fits counts. Words that belong together are joined by an underscore.
    ("user.authorization.password", "password passwd pwd passphrase passcode"),
    ("user.device.ip_address", "ip ips ipaddress ipv4 ipv6"),
    ("user.contact.fax_number", "fax"),
    ("user.contact.phone_number", "phone phones telephone tel mobile msisdn whatsapp"),
    ("user.contact.address.postal_code", "zip zipcode postcode postal_code plz"),
    ("user.contact.address.street", "street street1 street2 address1 address2 line1 line2 address_line"),
    ("user.contact.address.city", "city town"),
    ("user.contact.address.state", "province region"),
    ("user.contact.address.country", "country"),
    ("user.contact.address", "address addresses"),
    ("user.name.first", "first_name firstname given_name forename"),
    ("user.name.last", "last_name lastname surname family_name"),
    ("user.account.username", "username user_name handle login nickname nick screen_name display_name"),
    ("user.name", "full_name fullname real_name legal_name"),
    ("user.demographic.date_of_birth", "birth birthday birthdate dob date_of_birth born"),
    ("user.demographic.gender", "gender sex pronouns"),
    ("user.demographic.language", "locale language"),
    ("user.demographic.marital_status", "marital_status"),
    ("user.demographic.race_ethnicity", "ethnicity race"),
    ("user.demographic.religious_belief", "religion"),
    ("user.government_id.passport_number", "passport"),
    ("user.government_id.national_identification_number", "ssn national_id tax_id vat_number nif"),
    ("user.financial.bank_account", "iban bic bank_account account_number"),
    ("user.financial.credit_card", "card_number credit_card last4"),
    ("user.job_title", "job_title"),
    ("user.workplace", "employer company"),
    ("user.content.self_image", "avatar photo picture portrait"),
    ("user.device.device_id", "device_id device_token"),
    ("user.device.cookie_id", "cookie"),
    ("user.device", "user_agent useragent device browser"),
    ("user.location", "location latitude longitude lat lon lng geo"),
    ("user.contact.url", "website homepage"),
    ("user.content", "bio body content comment message text note notes description title"),
)
STRONG = frozenset(
    (
        *("user.name", "user.name.first", "user.name.last", "user.contact.address.street"),
        *(
            "user.demographic.date_of_birth",
            "user.government_id.passport_number",
            "user.financial.bank_account",
        ),
        *("user.government_id.national_identification_number", "user.financial.credit_card"),
        *("user.contact.email", "user.contact.phone_number", "user.device.ip_address"),
        *("user.authorization.password", "user.authorization.credentials"),
    )
)
"""Categories that hardly anything but a person has."""
_LABELLED = [(category, [words.split("_") for words in names.split()]) for category, names in _BY_WORDS]


def category_of(column: Column) -> str | None:
    """Guess the category of a column by its name."""
    if column.base in ("boolean", "interval", "uuid") or column.base.startswith(("timestamp", "time ")):
        return None
    if column_names.is_email(column):
        return "user.contact.email"
    parts = column_names.words(column.name)
    for category, names in _LABELLED:
        if any(parts[start : start + len(name)] == name for name in names for start in range(len(parts))):
            return category
    if column_names.is_credential(column):
        return "user.authorization.credentials"
    return "user.device.ip_address" if column.base in ("inet", "cidr") else None
