"""OpenSLO v1 as it is written: its object model, references, and what an SLO's parts mean here.

Not here: reading files and collecting objectives (``openslo``), and other tools' documents.
"""

from ops_platform.slo.objectives.documents.document_schema import KINDS, NAME, AnyObject, Slo
from ops_platform.slo.objectives.documents.written_object import Objects, Written
from ops_platform.slo.objectives.documents.written_period import MAX_DAYS

__all__ = [
    "KINDS",
    "MAX_DAYS",
    "NAME",
    "AnyObject",
    "Objects",
    "Slo",
    "Written",
    "data_source",
    "document_keys",
    "written_slo",
]
