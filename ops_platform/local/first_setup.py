"""Setup of the running storage before anything else starts: roles, databases, buckets, schemas, seed.

Every step finds what exists already, so ``up`` runs all of them each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ops_platform import files
from ops_platform.backup.repository import Repository
from ops_platform.backup.stanza import adopt_configuration, open_context
from ops_platform.backup.taking import create_stanza
from ops_platform.clients import object_store
from ops_platform.clients.postgres.migrations import migrate
from ops_platform.clients.redis import cache
from ops_platform.dr.verification import is_referenced, refresh
from ops_platform.local import environment
from ops_platform.local.components import Components
from ops_platform.local.demo.seed import seed, seed_cache
from ops_platform.local.servers import PostgresCluster, dagster_server, ensure_database, run_roles
from ops_platform.settings import Settings

Report = Callable[[str, float | None], None]
"""Called with the name of the current step, and its done fraction where that is known."""

STANZAS = ("product", "ops")
PLATFORM_ROLES = ("ops_owner", "ops_worker", "ops_agent", "ops_api")
OPS_LOGINS = (*PLATFORM_ROLES, "ops_dagster", "ops_analyst", "ops_guard")
PRODUCT_LOGINS = (*PLATFORM_ROLES, "ops_eraser", "product_owner", "product_app")
_CLIENTS = ("ops_worker", "ops_agent", "ops_api")


def roles(components: Components, report: Report) -> None:
    """Set up the login roles of both clusters, with their passwords."""
    report("roles", None)
    for cluster, scripts, logins in (
        (components.ops, ("ops",), OPS_LOGINS),
        (components.product, ("product", "demo"), PRODUCT_LOGINS),
    ):
        with cluster.superuser() as superuser:
            for script in scripts:
                run_roles(superuser, script)
            cluster.roles.grant_login(superuser, logins)


def databases(components: Components, report: Report) -> None:
    """Set up the databases and schemas of both clusters."""
    _ops_databases(components.ops, report)
    _product_database(components.product, report)


def buckets(components: Components, report: Report) -> None:
    """Create the missing buckets."""
    report("buckets", None)
    components.object_store.create_buckets()
    if components.second_store is not None:
        components.second_store.create_buckets()


def dagster_home(components: Components) -> None:
    """Write Dagster's configuration into its home."""
    dagster_server.prepare_home(components.layout)


def dagster_storage(components: Components, chosen: Mapping[str, str], report: Report) -> None:
    """Migrate Dagster's own tables, unless its installed version did so before."""
    report("Dagster's storage", None)
    values = environment.process(environment.dagster(components, chosen))
    dagster_server.migrate_storage(components.layout, values)


def repository(settings: Settings, report: Report) -> None:
    """Set up pgBackRest's configuration and stanzas: archiving works from the first WAL segment on."""
    report("pgBackRest's repository", None)
    for stanza in STANZAS:
        context = open_context(settings, stanza)
        for place in (context, *context.in_other_repositories()):
            if not Repository.parse(place.stanza.name, place.pgbackrest.info()).exists:
                create_stanza(place)
        # Ports, keys and authority are the stack's own: nothing needs to prove the new ones first.
        adopt_configuration(context)


def demo(components: Components, settings: Settings, report: Report) -> None:
    """Set up the demo product's schema, rows, objects and cached keys."""
    url = components.product.url("product_owner")
    migrate(url, files.carried("sql") / "demo")
    done = seed(
        url,
        scale=settings.demo.scale,
        media=object_store.from_settings(settings, "media"),
        progress=lambda name, fraction: report(f"demo data: {name}", fraction),
    )
    if done.steps_done:
        seed_cache(url, cache.from_settings(settings))


def references(settings: Settings, report: Report) -> None:
    """Record a reference of each source before its first set: exercises compare restored copies with it."""
    report("references for exercises", None)
    for stanza in STANZAS:
        context = open_context(settings, stanza)
        if not is_referenced(context):
            refresh(context)


def _ops_databases(cluster: PostgresCluster, report: Report) -> None:
    report("the ops database", None)
    with cluster.superuser() as superuser:
        ensure_database(superuser, "ops", "ops_owner", (*_CLIENTS, "ops_analyst", "ops_guard"))
        ensure_database(superuser, "dagster", "ops_dagster", ("ops_worker",))
    with cluster.superuser("ops") as superuser:
        run_roles(superuser, "ops")
    migrate(cluster.url("ops_owner"), files.carried("sql") / "ops")
    # The ops database is a stanza too: it has heartbeats of its own.
    migrate(cluster.url("ops_owner"), files.carried("sql") / "product")


def _product_database(cluster: PostgresCluster, report: Report) -> None:
    report("the product database", None)
    with cluster.superuser() as superuser:
        ensure_database(superuser, "product", "product_owner", ("product_app", "ops_eraser", *_CLIENTS))
    with cluster.superuser("product") as superuser:
        run_roles(superuser, "product")
    migrate(cluster.url("ops_owner"), files.carried("sql") / "product")
