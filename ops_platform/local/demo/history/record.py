"""Record of the demo product's history in a stack, and the places where its blocks are made and kept.

A load may be killed at any moment, and the next one finishes it: the record names the finished blocks
before the first of them is moved, and each is moved by one rename on one file system.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ops_platform.errors import ConfigurationError
from ops_platform.local.demo.history.timetable import HistoryPlan
from ops_platform.local.host import write_private


@dataclass(frozen=True)
class Record:
    """Progress of the history of one stack."""

    plan: HistoryPlan
    blocks: tuple[str, ...] | None = None
    """Names of all blocks once they are finished."""
    loaded: bool = False
    """True when Prometheus has all blocks."""
    counted: bool = False
    """True when the objectives were counted over all of it."""


@dataclass(frozen=True)
class HistoryStore:
    """Store of the record in ``record_file``, and of blocks in ``prometheus``, the server's directory."""

    record_file: Path
    prometheus: Path

    @property
    def data(self) -> Path:
        """Directory of the server's samples."""
        return self.prometheus / "data"

    @property
    def staging(self) -> Path:
        """Directory in which blocks are made, on the file system of ``data``."""
        return self.prometheus / "history"

    def record(self) -> Record | None:
        """Read the record; None when no history was ever wanted here. Raises ConfigurationError."""
        try:
            stored = json.loads(self.record_file.read_text(encoding="utf-8"))
            blocks = None if stored["blocks"] is None else tuple(stored["blocks"])
            return Record(HistoryPlan(**stored["plan"]), blocks, stored["loaded"], stored["counted"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(f"{self.record_file} is damaged: delete it") from None

    def keep(self, record: Record) -> Record:
        """Store the record and return it."""
        write_private(self.record_file, json.dumps(asdict(record)) + "\n")
        return record

    def plan(self, wanted: HistoryPlan) -> Record | None:
        """Decide which history to load: ``wanted``, or the one that was begun.

        None where Prometheus has run before without a history.
        """
        record = self.record()
        has_run = (self.data / "wal").exists()
        if record is None and has_run:
            return None
        # No block was moved yet, and no scrape came after its end: plan it anew, so that it ends now.
        if record is None or (record.blocks is None and not has_run):
            record = self.keep(Record(wanted))
        return record

    def adopt(self, blocks: Sequence[str]) -> None:
        """Move the finished ``blocks`` of the staging directory to Prometheus. Raises OSError."""
        record = self.record()
        if record is None or record.loaded:
            return
        self.keep(replace(record, blocks=tuple(blocks)))
        self.data.mkdir(exist_ok=True)
        for name in blocks:
            # A missing block was moved already, by a load that did not get further.
            if (self.staging / name).exists():
                (self.staging / name).rename(self.data / name)
        shutil.rmtree(self.staging, ignore_errors=True)
        self.keep(replace(record, blocks=tuple(blocks), loaded=True))
