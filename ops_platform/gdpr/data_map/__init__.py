"""The data map: its model, the parser of ``data_map.yaml``, and paths within JSON documents.

Whether a map fits a database is checked in ``map_check``.
"""

from ops_platform.gdpr.data_map.json_path import EVERY, JsonPath, leaves
from ops_platform.gdpr.data_map.model import (
    PSEUDONYM,
    STAND_IN,
    Anonymise,
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    ByParent,
    Constant,
    DataMap,
    Delete,
    Keep,
    Objects,
    Processor,
    Remove,
    Table,
    Value,
    View,
)

__all__ = [
    "EVERY",
    "PSEUDONYM",
    "STAND_IN",
    "Anonymise",
    "Belonging",
    "ByArray",
    "ByColumn",
    "ByJson",
    "ByParent",
    "Constant",
    "DataMap",
    "Delete",
    "JsonPath",
    "Keep",
    "Objects",
    "Processor",
    "Remove",
    "Table",
    "Value",
    "View",
    "json_edit_sql",
    "leaves",
    "parser",
]
