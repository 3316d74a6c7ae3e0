"""The effect of an erasure or export on one place of one store, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Store = Literal["postgresql", "s3", "redis", "processor", "backups"]


@dataclass(frozen=True)
class Effect:
    """One effect; ``before``, ``changed`` and ``after`` count the subject's rows, objects or keys.

    ``place``: a table, a bucket with its prefix as the map writes it, a key pattern, a processor. It holds
    no value of the subject: prefixes and patterns keep their {placeholders}.
    """

    store: Store
    place: str
    role: str
    action: str
    before: int
    changed: int
    after: int
