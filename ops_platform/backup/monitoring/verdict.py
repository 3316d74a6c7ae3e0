"""Verdict on a stanza: one promise, and whether it is kept. Verdicts are reached in ``health``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ops_platform.backup.stanza import Kind


@dataclass(frozen=True)
class Verdict:
    """One promise and whether it is kept.

    ``kind`` is set for freshness, which is judged for each kind; ``numbers`` are the figures that the
    verdict rests on.
    """

    name: str
    passed: bool
    summary: str
    kind: Kind | None = None
    numbers: Mapping[str, str | int | float] = field(default_factory=dict)
