"""What a stack remembers of the demo product's past, and where its blocks are made and kept.

Killed at any moment, the next load finishes it: the record names the finished blocks before the
first of them is moved, and each is moved by one rename on one file system.
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
    """What is known of the history of one stack."""

    plan: HistoryPlan
    blocks: tuple[str, ...] | None = None
    """Names of all blocks once they are finished."""
    loaded: bool = False
    """All blocks are Prometheus' own."""
    counted: bool = False
    """The objectives were counted over all of it."""


@dataclass(frozen=True)
class HistoryStore:
    """``record_file`` remembers; ``prometheus`` is the server's directory, its samples are in ``data``."""

    record_file: Path
    prometheus: Path

    @property
    def data(self) -> Path:
        return self.prometheus / "data"

    @property
    def staging(self) -> Path:
        """On the file system of ``data``."""
        return self.prometheus / "history"

    def record(self) -> Record | None:
        """None: nobody ever wanted a history here. Raises ConfigurationError."""
        try:
            found = json.loads(self.record_file.read_text(encoding="utf-8"))
            blocks = None if found["blocks"] is None else tuple(found["blocks"])
            return Record(HistoryPlan(**found["plan"]), blocks, found["loaded"], found["counted"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(f"{self.record_file} is damaged: delete it") from None

    def keep(self, record: Record) -> Record:
        write_private(self.record_file, json.dumps(asdict(record)) + "\n")
        return record

    def plan(self, wanted: HistoryPlan) -> Record | None:
        """What is to be loaded: ``wanted``, or what was begun. None where Prometheus has lived without."""
        record = self.record()
        lived = (self.data / "wal").exists()
        if record is None and lived:
            return None
        # Nothing was moved yet, and no scrape came behind it: let it end now.
        if record is None or (record.blocks is None and not lived):
            record = self.keep(Record(wanted))
        return record

    def adopt(self, blocks: Sequence[str]) -> None:
        """Make the finished ``blocks`` of the staging directory Prometheus' own. Raises OSError."""
        record = self.record()
        if record is None or record.loaded:
            return
        self.keep(replace(record, blocks=tuple(blocks)))
        self.data.mkdir(exist_ok=True)
        for name in blocks:
            # What is not here any more was moved by a load that did not get further.
            if (self.staging / name).exists():
                (self.staging / name).rename(self.data / name)
        shutil.rmtree(self.staging, ignore_errors=True)
        self.keep(replace(record, blocks=tuple(blocks), loaded=True))
