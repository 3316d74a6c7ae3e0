"""People of the demo product: key, name, handle and e-mail address of creator number n.

Pure arithmetic over word lists, the same on every machine and scale; the seed's ``00_functions.sql``
computes the same in SQL. None of them exists: the addresses are in the domains of RFC 2606.
"""

from __future__ import annotations

import hashlib
import unicodedata
from uuid import UUID

FIRST_NAMES = (
    "Ada", "Amélie", "Bashir", "Björn", "Chiara", "Dmitri", "Élodie", "Fatou", "Giulia", "Hana",
    "Ines", "Jörg", "Kofi", "Léa", "Mia", "Nadia", "Oluwaseun", "Priya", "Quentin", "Rosa",
    "Søren", "Tomás", "Uma", "Viktor", "Wanjiru", "Ximena", "Yusuf", "Zoë", "Anouk", "Bruno",
    "Clara", "Diego", "Emre", "Freya", "Gaël", "Hugo", "Iris",
)  # fmt: skip
LAST_NAMES = (
    "Adeyemi", "Bernard", "Castillo", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanova",
    "Jansen", "Kowalski", "Lindqvist", "Müller", "Nakamura", "O'Neill", "Petrov", "Quispe", "Rossi",
    "Sørensen", "Tremblay", "Usman", "Vargas", "Weiss", "Xu", "Yılmaz", "Zhang", "Almeida", "Bauer",
    "Costa", "Demir", "El Amrani", "Ferrari", "Göransson", "Horváth", "Idrissi", "Joshi", "Keller",
    "Lefèvre", "Mwangi", "Novák", "Okafor",
)  # fmt: skip
MAIL_DOMAINS = ("example.org", "example.com", "example.net")

PREFIX_PAIR = (3, 30)
"""Two people whose handles differ by a final digit: a prefix trap for whatever belongs to the first."""

# Letters that NFKD does not take apart.
_LATIN = str.maketrans({"ø": "o", "Ø": "O", "ı": "i", "'": "", " ": ""})


def slug(name: str) -> str:
    """Reduce a name to lower-case ASCII letters: ``Sørensen`` -> ``sorensen``."""
    decomposed = unicodedata.normalize("NFKD", name.translate(_LATIN))
    return decomposed.encode("ascii", "ignore").decode("ascii").lower()


def key(kind: str, n: int) -> UUID:
    """Compute the key of the n-th row of a kind: a version-4-shaped UUID made from a digest."""
    digest = hashlib.md5(f"{kind}:{n}".encode(), usedforsecurity=False).hexdigest()
    return UUID(f"{digest[:12]}4{digest[13:16]}8{digest[17:]}")


def creator_id(n: int) -> UUID:
    """Compute the key of creator n."""
    return key("creator", n)


def first_name(n: int) -> str:
    """Choose the first name of creator n."""
    return FIRST_NAMES[_name_number(n) * 7 % len(FIRST_NAMES)]


def last_name(n: int) -> str:
    """Choose the last name of creator n."""
    return LAST_NAMES[(_name_number(n) * 11 + _name_number(n) // len(FIRST_NAMES)) % len(LAST_NAMES)]


def full_name(n: int) -> str:
    """Make the full name of creator n."""
    return f"{first_name(n)} {last_name(n)}"


def handle(n: int) -> str:
    """Make the handle of creator n, unique by its number."""
    return f"{slug(first_name(n))}.{slug(last_name(n))}.{n}"


def email(n: int) -> str:
    """Make the address as the person typed it: one in fifty with capitals."""
    address = f"{handle(n)}@{MAIL_DOMAINS[n % len(MAIL_DOMAINS)]}"
    return address.title() if n % 50 == 0 else address


def _name_number(n: int) -> int:
    return PREFIX_PAIR[0] if n == PREFIX_PAIR[1] else n
