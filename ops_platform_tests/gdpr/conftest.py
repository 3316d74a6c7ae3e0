"""A product database with the demo's schema and a few of its rows; an ops database with requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ops_platform.clients.object_store.bucket import ObjectStore
    from ops_platform.clients.postgres.connection import Connection
    from ops_platform.gdpr.data_map.model import DataMap
    from ops_platform.local.servers.object_store_server import ObjectStoreServer
    from ops_platform.local.servers.postgres_cluster import PostgresCluster
    from ops_platform_tests.clients.running_redis import RunningRedis
    from ops_platform_tests.gdpr.erasing import Product, Products
    from ops_platform_tests.gdpr.erasure_scene import Scene
    from ops_platform_tests.gdpr.requests_database import Requests
    from ops_platform_tests.services import OpsDatabase, Services


@pytest.fixture(scope="session")
def demo_cluster(cluster_factory: Callable[..., PostgresCluster]) -> PostgresCluster:
    from ops_platform import files
    from ops_platform.clients.postgres.migrations import migrate
    from ops_platform.local.demo.seed.filling import seed

    cluster = cluster_factory("product", archive=False)
    owner = cluster.url("product_owner")
    migrate(owner, files.carried("sql") / "demo")
    seed(owner, scale=0.02)
    return cluster


@pytest.fixture
def demo(demo_cluster: PostgresCluster) -> Iterator[Connection]:
    """As the tables' owner, in a transaction that is rolled back."""
    from ops_platform.clients.postgres import connection as postgres

    connection = postgres.connect(demo_cluster.url("product_owner"))
    yield connection
    connection.rollback()
    connection.close()


@pytest.fixture(scope="session")
def demo_map() -> DataMap:
    from ops_platform import files
    from ops_platform.gdpr.data_map import parser as map_file

    return map_file.load(files.default_config_dir() / "data_map.yaml")


@pytest.fixture(scope="session")
def media(object_store: ObjectStoreServer, demo_cluster: PostgresCluster) -> ObjectStore:
    """The demo's objects, as the media bucket's identity sees them."""
    from ops_platform.clients import object_store as stores
    from ops_platform.clients.postgres import connection as postgres
    from ops_platform.local.demo.seed.media_objects import seed_media
    from ops_platform.settings import load_settings

    values = {**object_store.settings_environment(), "OPS_CA_FILE": str(object_store.ca_file)}
    store = stores.from_settings(load_settings(values), "media")
    with postgres.session(demo_cluster.url("product_owner")) as connection:
        seed_media(connection, store)
    return store


@pytest.fixture(scope="session")
def products(demo_cluster: PostgresCluster) -> Products:
    from ops_platform_tests.gdpr.erasing import Products

    return Products(demo_cluster)


@pytest.fixture
def demo_product(products: Products) -> Iterator[Product]:
    """The demo with its rows, to be erased in."""
    made = products.create("product")
    yield made
    products.drop(made)


@pytest.fixture
def bare_product(products: Products) -> Iterator[Product]:
    """A database with the platform's footprint and nothing else."""
    made = products.create()
    yield made
    products.drop(made)


@pytest.fixture
def table(ops_database: OpsDatabase) -> Iterator[Requests]:
    from ops_platform_tests.gdpr.requests_database import requests_of

    with requests_of(ops_database) as table:
        yield table


@pytest.fixture(scope="session")
def product_redis(services: Services) -> Iterator[RunningRedis]:
    from ops_platform_tests.clients.running_redis import running_redis

    with running_redis(services) as running:
        yield running


@pytest.fixture
def place(
    services: Services,
    products: Products,
    ops_database: OpsDatabase,
    product_redis: RunningRedis,
    demo_map: DataMap,
) -> Iterator[Scene]:
    from ops_platform_tests.gdpr.erasure_scene import scene

    with scene(services, products, ops_database, product_redis, demo_map) as made:
        yield made
