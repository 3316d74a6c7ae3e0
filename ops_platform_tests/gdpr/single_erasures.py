"""The erasure of one subject, as the command line erases several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ops_platform.gdpr.erasure.checkpoints import Log
from ops_platform.gdpr.erasure.command_line import erase_each, erase_each_without_tombstone
from ops_platform.gdpr.erasure.context import DataStores, ErasureContext
from ops_platform.gdpr.erasure.pipeline import Outcome
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.tombstones import SealingKeys


def erase(ops_url: str, context: ErasureContext, key: str, log: Log) -> Outcome | None:
    """Erase one subject as ``erase_each`` does; None: no such subject. Raises its error."""
    [ended] = erase_each(ops_url, context, [key], lambda number: log)
    if ended.error is not None:
        raise ended.error
    outcome: Outcome | None = ended.result
    return outcome


def erase_without_tombstone(
    stores: DataStores,
    key: str,
    log: Log,
    keys: SealingKeys | None = None,
    tell: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> list[Effect] | None:
    """Erase one subject as ``erase_each_without_tombstone`` does; None: no such subject. Raises its error."""
    [ended] = erase_each_without_tombstone(stores, [key], lambda number: log, keys, lambda number: tell)
    if ended.error is not None:
        raise ended.error
    effects: list[Effect] | None = ended.result
    return effects
