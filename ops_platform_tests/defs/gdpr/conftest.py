"""The fixtures of data subjects' requests, for what Dagster runs of them."""

from ops_platform_tests.gdpr.conftest import (  # noqa: F401 - fixtures
    bare_product,
    demo,
    demo_cluster,
    demo_map,
    demo_product,
    media,
    place,
    product_redis,
    products,
    table,
)
