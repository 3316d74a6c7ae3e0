"""System account that owns PostgreSQL's and pgBackRest's files when the stack is run by root."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops_platform.errors import ConfigurationError


@dataclass(frozen=True)
class Account:
    """A system user; processes started as it get no supplementary groups."""

    name: str
    uid: int
    gid: int
    home: str

    @property
    def is_other(self) -> bool:
        """True when this is not the invoking user's account (possible for root only)."""
        return self.uid != os.geteuid()

    def own(self, path: Path) -> None:
        """Give ``path`` to this account."""
        if self.is_other:
            os.chown(path, self.uid, self.gid)

    def directory(self, path: Path, mode: int = 0o700) -> Path:
        """Create ``path`` as a directory of this account; parents belong to the invoking user."""
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        self.own(path)
        return path

    def subprocess_arguments(self) -> dict[str, Any]:
        """Make arguments for subprocess.run and Popen that run the child as this account."""
        if not self.is_other:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account(name: str | None) -> Account:
    """Find the account called ``name``, or the invoking user's own for None.

    Raises ConfigurationError when the system has no such user.
    """
    try:
        entry = pwd.getpwuid(os.geteuid()) if name is None else pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(
            f"this machine has no system user {name or os.geteuid()}: "
            "install PostgreSQL (it brings 'postgres') or set OPS_RUN_AS_USER"
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
