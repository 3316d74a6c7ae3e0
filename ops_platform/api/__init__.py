"""The HTTP API of ``gdpr``: requests of data subjects, their confirmation, status and downloads.

Routes, bodies, problems and health are here; ``auth`` authenticates the subject, ``edge`` enforces limits,
also for the guard before Dagster.
The meaning and the effect of a request are in ``gdpr.requests``.
"""

__all__ = ["addresses", "edge"]
