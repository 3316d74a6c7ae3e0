"""The subject's keys in the product's Redis, found by the map's patterns and unlinked."""

from __future__ import annotations

from collections.abc import Iterable

from ops_platform.clients.redis import Cache
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.erasure.inventory import CachePlace, Inventory
from ops_platform.gdpr.lineage import Effect

ROUNDS = 20
"""A product that is still running may fill its cache anew for a while; after that somebody keeps doing it."""


def erase(cache: Cache, inventory: Inventory) -> list[Effect]:
    """Unlink every key that is the subject's; by pattern as the map writes it.

    Those of a shared name too, once: a copy costs its owner nothing, and may be of the subject's page.
    Raises CheckFailed when keys keep coming back.
    """
    by_pattern: dict[str, int] = {}
    for one in inventory.cache:
        by_pattern[one.shown] = by_pattern.get(one.shown, 0) + _unlink(cache, one)
    return [Effect("redis", shown, "owner", "delete", done, done, 0) for shown, done in by_pattern.items()]


def remaining(cache: Cache, inventory: Inventory) -> list[Effect]:
    """Patterns with keys, with ``after`` above zero; keys of a shared name are the other's."""
    found = []
    for one in inventory.cache:
        if one.shared:
            continue
        left = len(set(cache.matching(one.parts)))
        if left:
            found.append(Effect("redis", one.shown, "owner", "delete", left, 0, left))
    return found


def _unlink(cache: Cache, one: CachePlace) -> int:
    removed = 0
    for _ in range(ROUNDS):
        keys: Iterable[str] = set(cache.matching(one.parts))
        if not keys:
            return removed
        removed += cache.delete(keys)
        if one.shared:
            return removed
    raise CheckFailed(
        f"keys {one.shown} keep coming back while they are deleted: stop what fills them, and try again"
    )
