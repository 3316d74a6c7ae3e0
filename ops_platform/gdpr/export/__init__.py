"""An export of a subject's data: rows and files, one archive, its upload and its end."""

from ops_platform.gdpr.export.content import NoSuchSubject, Wanted
from ops_platform.gdpr.export.runner import ExportContext, open_context, run
from ops_platform.gdpr.export.to_file import Written

__all__ = [
    "ExportContext",
    "NoSuchSubject",
    "Wanted",
    "Written",
    "archive_store",
    "open_context",
    "run",
    "to_file",
]
