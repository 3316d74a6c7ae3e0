"""After a restore: whoever was erased is erased again, with the engine that erased them first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.effects import Effect
from ops_platform.gdpr.tombstones import Tombstone


@dataclass(frozen=True)
class Replayed:
    """``came_back``: tombstoned subjects of whom there was something; ``effects``: of all of them."""

    tombstones: int
    came_back: int
    effects: tuple[Effect, ...]


def replay(
    connection: Connection,
    data_map: DataMap,
    found: Sequence[Tombstone],
    log: Callable[[str], None] = lambda line: None,
) -> Replayed:
    """Erase the subjects of ``found`` in the restored database; rows newer than their cutoffs are spared.

    ``connection`` commits by itself (autocommit). Safe to repeat. Raises CheckFailed when the map does not
    fit the database or something is left: it must not take traffic then.
    """
    raise NotImplementedError
