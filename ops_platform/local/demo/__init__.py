"""The demo product: ``people`` and what they do (``activity``), and how it fails (``failure_modes``).

``seed`` is its first data, ``history`` its past, ``traffic`` its living users, ``load`` what becomes of it
when they are too many, ``product_metrics`` what it tells Prometheus. Not here: its schema, which is SQL in
``sql/demo``.
"""

__all__ = ["history", "load", "seed"]
