"""The people of the demo product: creator number n -> key, name, handle, e-mail address.

Pure arithmetic over word lists, the same on every machine and at every scale; ``seed_functions``
computes the same in SQL. Nobody here exists: the addresses are in the domains of RFC 2606.
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
"""Two people whose handles differ by a final digit: what belongs to the first is a prefix trap."""

# Letters that NFKD does not take apart.
_LATIN = str.maketrans({"ø": "o", "Ø": "O", "ı": "i", "'": "", " ": ""})


def slug(name: str) -> str:
    """``Sørensen`` -> ``sorensen``: lower-case ASCII letters only."""
    decomposed = unicodedata.normalize("NFKD", name.translate(_LATIN))
    return decomposed.encode("ascii", "ignore").decode("ascii").lower()


def key(kind: str, n: int) -> UUID:
    """The key of the n-th thing of a kind: a version-4-shaped UUID made from a digest."""
    digest = hashlib.md5(f"{kind}:{n}".encode(), usedforsecurity=False).hexdigest()
    return UUID(f"{digest[:12]}4{digest[13:16]}8{digest[17:]}")


def creator_id(n: int) -> UUID:
    return key("creator", n)


def first_name(n: int) -> str:
    return FIRST_NAMES[_named(n) * 7 % len(FIRST_NAMES)]


def last_name(n: int) -> str:
    return LAST_NAMES[(_named(n) * 11 + _named(n) // len(FIRST_NAMES)) % len(LAST_NAMES)]


def full_name(n: int) -> str:
    return f"{first_name(n)} {last_name(n)}"


def handle(n: int) -> str:
    return f"{slug(first_name(n))}.{slug(last_name(n))}.{n}"


def email(n: int) -> str:
    """As the person typed it: one in fifty with capitals."""
    address = f"{handle(n)}@{MAIL_DOMAINS[n % len(MAIL_DOMAINS)]}"
    return address.title() if n % 50 == 0 else address


def _named(n: int) -> int:
    return PREFIX_PAIR[0] if n == PREFIX_PAIR[1] else n
