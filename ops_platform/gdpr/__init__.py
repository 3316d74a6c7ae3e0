"""Data subjects' rights: erasure (Art. 17) and export (Art. 15, 20), by a data map, with proof.

From the database upwards: ``schema``, ``data_map``, ``connections``, ``map_check``, ``transparency``,
``subject``, ``row_erasure``, ``lineage``, ``tombstones``, ``certificates``, then ``erasure``,
``after_restore`` and ``export``, with ``requests``, ``fulfilment``, ``retention`` and ``reports`` on top. Not
here: HTTP (``api``) and Dagster (``defs.gdpr``).
"""

__all__ = [
    "after_restore",
    "certificates",
    "connections",
    "data_map",
    "erasure",
    "export",
    "fulfilment",
    "lineage",
    "map_check",
    "reports",
    "requests",
    "retention",
    "row_erasure",
    "schema",
    "subject",
    "tombstones",
    "transparency",
]
