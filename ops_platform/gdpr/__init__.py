"""Data subjects' rights: erasure (Art. 17) and export (Art. 15, 20), by a data map, with proof.

From the database upwards: ``schema``, ``data_map``, ``subject``, ``row_erasure``, ``tombstones``, ``erasure``
and ``export``, with ``requests`` and ``fulfilment`` on top. HTTP is in ``api``, Dagster in ``defs.gdpr``.
"""

__all__ = [
    "after_restore",
    "certificates",
    "data_map",
    "erasure",
    "export",
    "fulfilment",
    "lineage",
    "map_check",
    "reports",
    "requests",
    "row_erasure",
    "schema",
    "subject",
    "tombstones",
]
