"""What speaks for a column's holding a link, an address or a credential: its name, its type, its values.

The check and the draft weigh it. Nothing here knows a data map.
"""

from ops_platform.gdpr.map_check.evidence import column_names, value_sampling

__all__ = ["column_names", "value_sampling"]
