"""The erasure of the subject's keys in the product's Redis, found by the map's patterns."""

from __future__ import annotations

from collections.abc import Iterable

from ops_platform.clients.redis import Cache
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.erasure.inventory import CachePlace, Inventory
from ops_platform.gdpr.lineage import Effect

ROUNDS = 20
"""Attempts to find no key: a running product may fill its cache again for a while."""


def erase(cache: Cache, inventory: Inventory) -> list[Effect]:
    """Unlink every key of the subject; return one effect for each pattern of the map.

    Keys of a shared name are unlinked once: the product makes a lost copy anew, and it may be of the
    subject's page. Raises CheckFailed when keys keep coming back.
    """
    removed_by_pattern: dict[str, int] = {}
    for place in inventory.cache:
        removed = _unlink(cache, place)
        removed_by_pattern[place.template] = removed_by_pattern.get(place.template, 0) + removed
    return [
        Effect("redis", pattern, "owner", "delete", removed, removed, 0)
        for pattern, removed in removed_by_pattern.items()
    ]


def remaining(cache: Cache, inventory: Inventory) -> list[Effect]:
    """Count the keys that are left by pattern, without empty ones and shared names."""
    effects = []
    for place in inventory.cache:
        if place.shared:
            continue
        left = len(set(cache.matching(place.parts)))
        if left:
            effects.append(Effect("redis", place.template, "owner", "delete", left, 0, left))
    return effects


def _unlink(cache: Cache, place: CachePlace) -> int:
    removed = 0
    for _ in range(ROUNDS):
        keys: Iterable[str] = set(cache.matching(place.parts))
        if not keys:
            return removed
        removed += cache.delete(keys)
        if place.shared:
            return removed
    raise CheckFailed(
        f"keys {place.template} keep coming back while they are deleted: stop what fills them, and try again"
    )
