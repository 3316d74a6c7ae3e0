"""Exports of a subject's data: content, archive, upload, and deletion when their time is over."""

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
