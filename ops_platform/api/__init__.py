"""The HTTP API of ``gdpr``: requests of data subjects, their confirmation, status and downloads.

Routes, bodies, problems and health are here; ``auth`` authenticates the subject, ``edge`` enforces limits.
The meaning and the effect of a request are in ``gdpr.requests``.
"""

__all__: list[str] = []
