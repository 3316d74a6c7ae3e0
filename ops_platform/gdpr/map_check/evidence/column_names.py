"""What the name and type of a column tell of it: a link, an address, a credential. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from ops_platform.gdpr.schema import Column, Name, Relation


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


PEOPLE = _words(
    "account actor admin agent applicant approver assignee attendee author buyer client contact creator",
    "customer donor editor employee follower guest host invitee inviter member moderator operator owner",
    "participant patient payee payer person player poster profile receiver recipient referrer registrant",
    "reporter requester reviewer sender staff student subscriber teacher uploader user visitor voter worker",
    "writer",
)
"""Words that name somebody rather than something."""
_ACTING = _words("approver assignee auditor deactivator impersonator moderator processor referrer reviewer")
_LINKS = _words("id ids uid uids uuid uuids guid guids pk fk by")
_ADDRESSES = _words(
    "email emails mail mails phone phones telephone tel mobile fax msisdn whatsapp ip ips ipaddress ipv4",
    "ipv6 address addresses",
)
_CREDENTIALS = _words(
    "password passwd pwd passphrase passcode pin secret secrets token tokens apikey credential credentials",
    "otp totp salt",
)
_KEYS = _words("api access private signing encryption secret auth session")
_OF_ADDRESSES = _words(
    "type types kind status state format template subject level frequency provider locale language domain",
    "count",
)
"""Last words of names that are about an address, and hold none."""
_OF_IDENTIFIERS = _OF_ADDRESSES | _words("hash hashed digest sha256 md5 encrypted bidx bounces error id ip")
_OF_ONE = _words("email emails mail mails phone phones telephone tel mobile msisdn whatsapp")
_HANDLES = _words("handle login username user_name screen_name login_name user_login")
_NICKNAMES = _words("nick nickname nick_name account_name alias slug")
TEXTS = frozenset(("text", "character varying", "character", "citext", "name"))
_NUMBERS = frozenset(("smallint", "integer", "bigint", "numeric"))
_OPAQUE = frozenset(("hstore", "tsvector"))
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def words(name: str) -> list[str]:
    """Split a name into its words in small letters: ``userId``, ``user_id`` and ``USER ID`` alike."""
    return [word.lower() for word in _WORD.findall(name)]


def stem(column: Column, tables: Iterable[Name]) -> str | None:
    """Tell of what a column holds the id: ``user`` of ``user_id``, ``approved`` of ``approved_by``.

    None for a column that is no link by its name. ``tables``: a name such as ``userid`` says so only where a
    table has that name, or the word is one of PEOPLE.
    """
    if column.base not in TEXTS | _NUMBERS | {"uuid"}:
        return None
    parts = words(column.name)
    if len(parts) > 1 and parts[-1] in _LINKS:
        return "_".join(parts[:-1])
    if column.base == "numeric" or not parts:
        return None
    joined = "".join(parts)
    for ending in ("id", "ids"):
        start = joined.removesuffix(ending)
        if start != joined and (
            start in PEOPLE or any(_same(start, "".join(words(table.relation))) for table in tables)
        ):
            return start
    return joined if joined in PEOPLE and column.base not in TEXTS else None


def is_person(column: Column) -> bool:
    """Tell whether a text column is called like a person: ``owner``, which may hold a name or a key."""
    return column.base in TEXTS and "".join(words(column.name)) in PEOPLE


def is_beside(name: str, *, key_of_subject: bool) -> bool:
    """Tell whether a column names somebody who has to do with a row that is hardly theirs.

    Who has approved, reviewed or archived it: ``approved_by_id``, ``reviewer_id``. Where the column holds no
    key but an address, whoever is not simply called by it: ``reply_to_email``, not ``buyer_email``.
    """
    parts = words(name)
    acting = "by" in parts[-3:] or bool(set(parts) & _ACTING) or parts[:3] == ["point", "of", "contact"]
    if key_of_subject:
        return acting
    return acting or not set(parts) <= _ADDRESSES | PEOPLE | _HANDLES | {"e", "name", "address"}


def names(stem_: str, table: Name) -> bool:
    """Tell whether a stem is the name of a table, in the singular or plural, or ends with it."""
    return any(
        _same("_".join(words(stem_)[start:]), "_".join(words(table.relation)))
        for start in range(len(words(stem_)))
    )


def is_own_key(column: Column, relation: Relation, stem_: str) -> bool:
    """Tell whether a column numbers the rows of its own table, and refers to nothing."""
    if column.name not in relation.key:
        return False
    alone = len(relation.key) == 1 and (column.identity or column.has_default)
    return alone or _same(stem_, "_".join(words(relation.name.relation)))


def is_address(column: Column) -> bool:
    """Tell whether a column looks like an address of a person: of e-mail, a telephone, the net."""
    if column.base in ("inet", "cidr", "macaddr", "macaddr8"):
        return True
    parts = words(column.name)
    if column.base in _NUMBERS:
        return (
            bool(set(parts) & {"phone", "telephone", "mobile", "msisdn"}) and parts[-1] not in _OF_ADDRESSES
        )
    if column.base not in TEXTS | {"bytea"} or not parts or parts[-1] in _OF_ADDRESSES:
        return False
    joined = "".join(parts)
    return bool(set(parts) & _ADDRESSES) or "email" in joined or joined.endswith("phone")


def is_email(column: Column) -> bool:
    """Tell whether a text column looks like an address of e-mail."""
    parts = words(column.name)
    return column.base in TEXTS and is_address(column) and ("email" in "".join(parts) or "mail" in parts)


def is_identifier(column: Column, relation: Relation) -> bool:
    """Tell whether a column of people looks like what names one of them alone: an address, a handle.

    Nicknames do only where no two rows have the same.
    """
    parts = words(column.name)
    if column.array or not parts or is_credential(column) or parts[-1] in _OF_IDENTIFIERS:
        return False
    if is_address(column):
        return bool(set(parts) & _OF_ONE) or "email" in "".join(parts) or parts[-1].endswith("phone")
    if column.base not in TEXTS:
        return False
    ends = {parts[-1], "_".join(parts[-2:])}
    return bool(ends & _HANDLES) or (bool(ends & _NICKNAMES) and relation.identified_by([column.name]))


def names_addresses(column: Column, table: Name) -> bool:
    """Tell whether a column holds what its table is called by: the number of ``phones``."""
    about = {word.removesuffix("s") for word in words(table.relation)[-2:]}
    return (
        column.base in TEXTS
        and words(column.name)[-1:] in (["address"], ["number"], ["value"])
        and bool(about & {"email", "mail", "phone", "telephone", "msisdn"})
    )


def is_credential(column: Column) -> bool:
    """Tell whether a column looks like something that a person, or a program of theirs, signs in with."""
    if column.base not in TEXTS | {"bytea", "uuid"}:
        return False
    parts = words(column.name)
    pairs = itertools.pairwise(parts)
    return (
        bool(set(parts) & _CREDENTIALS)
        or any(first in _KEYS and second in ("key", "keys") for first, second in pairs)
        or "password" in "".join(parts)
    )


def is_opaque(column: Column) -> bool:
    """Tell whether a column has a type of which no part can be classified by itself."""
    return column.composite or column.base in _OPAQUE


def _same(name: str, other: str) -> bool:
    """Tell whether two names are the same, or one is the other's plural."""
    return name == other or _is_plural(name, other) or _is_plural(other, name)


def _is_plural(plural: str, singular: str) -> bool:
    return plural in (f"{singular}s", f"{singular}es", f"{singular.removesuffix('y')}ies")
