"""Random secrets, one file (0600) each in a directory of mode 0700; never printed, never an argument."""

from __future__ import annotations

import glob
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops_platform import files


@dataclass(frozen=True)
class SecretStore:
    """A directory of secrets. An existing secret is never replaced by a random one."""

    directory: Path

    def prepare(self) -> None:
        """Create the directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)

    def path(self, name: str) -> Path:
        """Name the file of a secret."""
        return self.directory / name

    def token(self, name: str, length: int = 32) -> str:
        """Keep the secret ``name``: URL-safe text of ``length`` random bytes, made the first time."""
        return self.keep(name, lambda: secrets.token_urlsafe(length))

    def hexadecimal(self, name: str, length: int = 32) -> str:
        """Keep the secret ``name``: hexadecimal digits of ``length`` random bytes, made the first time."""
        return self.keep(name, lambda: secrets.token_hex(length))

    def access_key(self, name: str) -> str:
        """Keep an S3 access key id: 20 characters, not secret by itself but stored beside its key."""
        return self.keep(name, lambda: "OPS" + secrets.token_hex(9)[:17].upper())

    def keep(self, name: str, make: Callable[[], str]) -> str:
        """Read the secret ``name``; ``make()`` provides it the first time."""
        path = self.path(name)
        if not path.exists():
            self.write(name, make())
        return path.read_text(encoding="utf-8").strip()

    def write(self, name: str, text: str) -> Path:
        """Write a secret file atomically, readable by its owner only."""
        self.prepare()
        path = self.path(name)
        write_private(path, text)
        return path


def write_private(path: Path, text: str, mode: int = 0o600) -> bool:
    """Write ``text`` to ``path`` atomically with ``mode``; False when it already was exactly that."""
    if path.exists() and path.stat().st_mode & 0o777 == mode and path.read_text(encoding="utf-8") == text:
        return False
    # Only one stack writes here: a half-written file is a killed process's.
    for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*new"):
        unfinished.unlink()
    files.write_atomically(path, text, mode=mode)
    return True
