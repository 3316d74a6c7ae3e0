"""A database of the subject's beside the home database, as the map names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Database:
    """A database by its name in the map; ``url_env``: the environment variable that holds its URL.

    ``stanza``: the name in ``backups.yaml`` of its cluster; None: its backups are not the platform's.
    """

    name: str
    url_env: str
    stanza: str | None = None

    def place(self, text: object) -> str:
        """Write a place in this database as effects, certificates and messages name it."""
        return f"{self.name}: {text}"
