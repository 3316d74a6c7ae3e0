"""What an erasure or an export did to one place of one store, in numbers: the matter of lineage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Store = Literal["postgresql", "s3", "redis", "processor", "backups"]


@dataclass(frozen=True)
class Effect:
    """``place``: a table, a bucket with its prefix as the map writes it, a key pattern, a processor.

    Never a value of the subject's: prefixes and patterns stand with their {placeholders}. ``before``
    and ``after`` count what was there that is the subject's, ``changed`` what was done something to.
    """

    store: Store
    place: str
    role: str
    action: str
    before: int
    changed: int
    after: int
