"""The HTTP face of ``gdpr``: requests of data subjects, their confirmation, status and downloads.

Routes, bodies, problems and health are here; ``auth`` says who asks, ``edge`` refuses what must not come in.
What a request means and does is in ``gdpr.requests``.
"""

__all__: list[str] = []
