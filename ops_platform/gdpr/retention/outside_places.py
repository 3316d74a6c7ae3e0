"""Objects and cached keys of subjects whose rows go when their term is over, as an erasure takes them.

They are named by identifiers, which only the subject's own row holds: so they go before its deletion is
committed. Objects of rows that are not a subject's own are not known to the data map.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import DataMap, RetentionTerm, kinds
from ops_platform.gdpr.erasure import inventory, objects
from ops_platform.gdpr.erasure.objects import Stores
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.schema import Name
from ops_platform.gdpr.subject import Identity, shared_prefix_guard
from ops_platform.settings import Settings

if TYPE_CHECKING:
    from ops_platform.clients.redis import Cache

Place = tuple[Literal["s3", "redis"], str]
"""A store, and a place in it as the data map writes it."""
_CACHE = "the cache"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class OutsidePlaces:
    """The buckets and the cache of the product; without them, no subject with objects or keys goes.

    ``missing``: why a bucket of the map, or the cache, is not here, by its name.
    """

    stores: Stores = field(default_factory=dict)
    cache: Cache | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    def of(self, data_map: DataMap, table: Name, term: RetentionTerm) -> DataMap | None:
        """Find the map of the kind whose objects or keys are named by what goes with rows of ``table``.

        None: nothing outside depends on it. Raises ConfigurationError where a bucket or the cache is missing.
        """
        for of_kind in (data_map, *data_map.others):
            names = {name for template in _templates(of_kind) for name in _PLACEHOLDER.findall(template)}
            if of_kind.subject.table != table or not names:
                continue
            if term.values is not None and not names & set(term.values):
                continue
            wanted = sorted({place.bucket for place in of_kind.objects} - set(self.stores))
            if of_kind.cache and self.cache is None:
                wanted.append(_CACHE)
            if wanted:
                why = "; ".join(self.missing[place] for place in wanted if place in self.missing)
                lacking = " and ".join(f"{place} is not configured here" for place in wanted)
                raise ConfigurationError(
                    f"rows of {table} name objects or cached keys, and {lacking}: they would be left"
                    + (f": {why}" if why else "")
                )
            return of_kind
        return None

    def erase(self, product: Connection, data_map: DataMap, identities: Sequence[Identity]) -> list[Effect]:
        """Remove the objects and keys of these subjects; return one effect for each place of the map.

        Raises CheckFailed when some may be another subject's, or keep coming back, and what the stores raise.
        """
        removed: dict[Place, int] = {}
        for identity in identities:
            shared_prefix_guard.refuse_shared(product, data_map, identity)
            for place, number in self._erase(inventory.take(data_map, identity)):
                removed[place] = removed.get(place, 0) + number
        return [Effect(*place, "retention", "delete", number, number, 0) for place, number in removed.items()]

    def _erase(self, taken: inventory.Inventory) -> Iterator[tuple[Place, int]]:
        for effect in objects.erase(self.stores, taken):
            yield ("s3", effect.place), effect.changed
        if self.cache is not None:
            # redis takes long to import, and definitions load without it
            from ops_platform.gdpr.erasure import cache as cache_erasure

            for effect in cache_erasure.erase(self.cache, taken):
                yield ("redis", effect.place), effect.changed


def configured(settings: Settings, data_map: DataMap) -> OutsidePlaces:
    """Make the clients that ``data_map`` may need, without connecting.

    What is not configured is left out: it stops the tables that need it, and no others.
    """
    every = kinds.every(data_map)
    stores, missing = dict[str, ObjectStore](), dict[str, str]()
    for bucket in sorted({place.bucket for of_kind in every for place in of_kind.objects}):
        try:
            objects.refuse_shared_prefixes(settings, data_map)
            stores[bucket] = objects.store(settings, bucket)
        except ConfigurationError as error:
            missing[bucket] = str(error)
    cache = None
    if any(of_kind.cache for of_kind in every):
        from ops_platform.clients.redis import cache as caches  # redis takes long to import

        try:
            cache = caches.from_settings(settings)
        except ConfigurationError as error:
            missing[_CACHE] = str(error)
    return OutsidePlaces(stores, cache, missing)


def _templates(data_map: DataMap) -> list[str]:
    return [
        *(place.prefix for place in data_map.objects),
        *(place.pattern for place in data_map.cache),
    ]
