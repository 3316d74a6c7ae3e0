"""The product database's catalogue as the engine needs it: relations, columns, references, and their order.

Reading it judges nothing; whether a data map fits it is in ``map_check``.
"""

from ops_platform.gdpr.schema.reader import Catalogue, Column, Reference, Relation, Trigger, read
from ops_platform.gdpr.schema.relation_name import Name, quoted

__all__ = [
    "Catalogue",
    "Column",
    "Name",
    "Reference",
    "Relation",
    "Trigger",
    "dependency_order",
    "index_predicate",
    "quoted",
    "read",
    "trigger_source",
]
