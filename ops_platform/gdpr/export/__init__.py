"""An export of a subject's data: rows and files, one archive, its upload and its end.

Not here: the request that asks for one (``gdpr.requests``), and which columns are whose
(``gdpr.data_map``).
"""

from ops_platform.gdpr.export.content import ExportRequest, NoSuchSubject
from ops_platform.gdpr.export.runner import ExportContext, open_context, run
from ops_platform.gdpr.export.to_file import ExportFile

__all__ = [
    "ExportContext",
    "ExportFile",
    "ExportRequest",
    "NoSuchSubject",
    "archive_store",
    "open_context",
    "run",
    "to_file",
]
