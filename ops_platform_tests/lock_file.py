"""The lock files, entry by entry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Entry:
    """A package as a lock file pins it."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def version(self) -> str:
        (pinned,) = self.requirement.specifier
        assert pinned.operator == "=="
        return pinned.version

    @property
    def here(self) -> bool:
        """Whether this Python on this system installs it."""
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def entries(name: str) -> dict[str, list[Entry]]:
    """Each package of a lock file with its versions: markers may choose between several."""
    found: dict[str, list[Entry]] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").replace("\\\n", "").splitlines():
        text, *hashes = re.split(r"\s+--hash=", line)
        requirement = Requirement(text.strip())
        found.setdefault(canonicalize_name(requirement.name), []).append(
            Entry(requirement, frozenset(one.strip() for one in hashes))
        )
    return found
