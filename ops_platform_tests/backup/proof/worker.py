"""A rolling verification as a process of its own, for tests that kill it. Its settings are its environment.

``python -m ops_platform_tests.backup.proof.worker STANZA OBJECTS``: reads that many objects, prints
``STOPPED`` while it reads the next one, and waits to be killed.
"""

from __future__ import annotations

import itertools
import signal
import sys

from ops_platform.backup.proof import rolling
from ops_platform.backup.proof.byte_reading import ByteReader, Reading
from ops_platform.backup.proof.reading_plan import StoredItem
from ops_platform.backup.stanza.context import open_context
from ops_platform.settings import load_settings


def main(stanza: str, objects: int) -> None:
    numbers, genuine = itertools.count(), ByteReader.read

    def read(reader: ByteReader, item: StoredItem) -> Reading:
        if next(numbers) == objects:
            print("STOPPED", flush=True)
            signal.pause()
        return genuine(reader, item)

    setattr(ByteReader, "read", read)  # noqa: B010 - mypy refuses to replace a method
    rolling.run(open_context(load_settings(), stanza), print)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
