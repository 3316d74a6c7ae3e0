"""Objects and cached keys of subjects whose rows go when their term is over, as an erasure takes them.

They are named by identifiers, which only the subject's own row holds: these are written down with its
deletion (``pending_removals``), and what they name goes after it. Objects of rows that are not a subject's
own are not known to the data map.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from psycopg import sql

from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError, OpsError, Unavailable
from ops_platform.gdpr.data_map import DataMap, RetentionTerm, kinds
from ops_platform.gdpr.erasure import objects
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.erasure.objects import Stores
from ops_platform.gdpr.retention.pending_removals import ROLE, PendingRemovals
from ops_platform.gdpr.row_erasure import Journal, collateral_check
from ops_platform.gdpr.schema import Name
from ops_platform.gdpr.subject import Identity, placeholders, shared_prefix_guard
from ops_platform.gdpr.tombstones import SealingKeys, encryption
from ops_platform.settings import Settings

if TYPE_CHECKING:
    from ops_platform.clients.redis import Cache

Place = tuple[Literal["s3", "redis"], str]
"""A store, and a place in it as the data map writes it."""
Step = tuple[str, str, str]
"""Of a journal: the place with its store, role and action."""
_CACHE = "the cache"


@dataclass(frozen=True)
class OutsidePlaces:
    """The buckets and the cache of the product; without them, no subject with objects or keys goes.

    ``missing``: why a bucket of the map, or the cache, is not here, by its name. ``keys``: seal
    what is to be removed until it is; None: no encryption key is configured.
    """

    stores: Stores = field(default_factory=dict)
    cache: Cache | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    keys: SealingKeys | None = None

    def of(self, data_map: DataMap, table: Name, term: RetentionTerm) -> DataMap | None:
        """Find the map of the kind whose objects or keys are named by what goes with rows of ``table``.

        None: nothing outside depends on it. Raises ConfigurationError where a bucket or the cache is missing.
        """
        for of_kind in (data_map, *data_map.others):
            names = {name for template in _templates(of_kind) for name in placeholders(template)}
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

    def check(self, data_map: DataMap) -> None:
        """Ask whether the stores of ``data_map`` answer. Raises what they raise."""
        for bucket in {place.bucket for place in data_map.objects}:
            self.stores[bucket].check()
        if data_map.cache and self.cache is not None:
            self.cache.ping()

    def finish(self, product: Connection, data_map: DataMap, of_run: Journal) -> None:
        """Remove what is outside of those whose rows went, and count it in the journal of the run.

        Outside of a transaction. Each is tried, unless a store does not answer. Raises the first error: those
        of the stores, CheckFailed where objects or keys keep coming back.
        """
        pending, first = PendingRemovals(product, self.keys), None
        for of_one in pending.waiting():
            try:
                taken = pending.read(of_one, data_map)
                pending.note(of_one, _steps(self._count(taken)))
                pending.finish(of_one, _steps(self._erase(taken)), of_run)
            except Unavailable:
                raise
            except OpsError as error:
                first = first or error
        if first is not None:
            raise first

    def _count(self, taken: Inventory) -> Iterator[tuple[Place, int]]:
        for effect in objects.remaining(self.stores, taken):
            yield ("s3", effect.place), effect.before
        if self.cache is not None:
            for place in taken.cache:
                yield ("redis", place.template), len(set(self.cache.matching(place.parts)))

    def _erase(self, taken: Inventory) -> Iterator[tuple[Place, int]]:
        for effect in objects.erase(self.stores, taken):
            yield ("s3", effect.place), effect.changed
        if not taken.cache:
            return
        if self.cache is None:
            raise ConfigurationError(
                "the cache is not configured here, and keys of subjects that went are in it"
            )
        # redis takes long to import, and definitions load without it
        from ops_platform.gdpr.erasure import cache as cache_erasure

        for effect in cache_erasure.erase(self.cache, taken):
            yield ("redis", effect.place), effect.changed


def _steps(counted: Iterable[tuple[Place, int]]) -> dict[Step, int]:
    """Add up numbers of removals by step of a journal."""
    steps: dict[Step, int] = {}
    for (store, place), number in counted:
        step = (f"{store}:{place}", ROLE, "delete")
        steps[step] = steps.get(step, 0) + number
    return steps


def unshared(
    product: Connection, of_kind: DataMap, leaf: Name, takes: sql.Composable
) -> tuple[dict[str, Identity], str | None]:
    """Find the subjects of the rows t of ``leaf`` that ``takes`` says, by place.

    Without those whose objects or keys may be another subject's who stays; with the reason of the last such.
    """
    query = sql.SQL(
        "SELECT t.tableoid::bigint AS tableoid, t.ctid::text AS ctid, {} FROM ONLY {} AS t WHERE {}"
    )
    found = product.execute(
        query.format(
            sql.SQL(", ").join(sql.Identifier("t", name) for name in of_kind.subject.columns),
            leaf.identifier,
            takes,
        )
    ).fetchall()
    oid = found[0]["tableoid"] if found else 0
    going = {
        row["ctid"]: Identity({name: row[name] for name in of_kind.subject.columns if row[name] is not None})
        for row in found
    }
    reason = None
    while True:
        together = sql.SQL("t.tableoid = {} AND t.ctid = ANY ({})").format(
            sql.Literal(oid), collateral_check.tids(list(going))
        )
        staying = set()
        for place, identity in going.items():
            try:
                shared_prefix_guard.refuse_shared(product, of_kind, identity, together)
            except CheckFailed as error:
                reason = str(error)
                staying.add(place)
        if not staying:
            return going, reason
        # Who shares with one of these stays, too.
        going = {place: identity for place, identity in going.items() if place not in staying}


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
    return OutsidePlaces(stores, cache, missing, encryption.optional_keys(settings))


def _templates(data_map: DataMap) -> list[str]:
    return [
        *(place.prefix for place in data_map.objects),
        *(place.pattern for place in data_map.cache),
    ]
