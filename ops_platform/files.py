"""Files that travel with the package, and atomic, durable writes.

In a checkout ``sql/``, ``dashboards/``, ``dagster.yaml`` and ``workspace.yaml`` are at the top
of the repository; in an installed wheel they are in ``ops_platform/_data``.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_PACKAGE = Path(__file__).resolve().parent


def carried(name: str) -> Path:
    """Return the path of a top-level file or folder (``sql``, ``dashboards``, ``dagster.yaml``, ...).

    Raises FileNotFoundError when the installation does not hold it.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        path = root / name
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is not part of this installation of ops_platform; reinstall the package")


def default_config_dir() -> Path:
    """Return the demo product's configuration directory, used when ``OPS_CONFIG_DIR`` is not set."""
    return _PACKAGE / "defaults"


def runbooks_url() -> str | None:
    """Return the URL of the checkout's own runbooks; None in an installed wheel, which has none."""
    folder = _PACKAGE.parent / "docs" / "runbooks"
    return folder.as_uri() if folder.is_dir() else None


@contextmanager
def replacing(
    path: Path, *, mode: int = 0o600, hand_over: Callable[[Path], None] | None = None
) -> Iterator[BinaryIO]:
    """Open a new file beside ``path``, which it replaces at the end of the block.

    Readers see the old content or the new, also after a loss of power: the file is flushed before
    it is renamed, and its directory afterwards. ``hand_over`` gets the new file's path before it is
    renamed, to change its owner. When anything fails, ``path`` stays as it was and OSError is raised.
    """
    # mkstemp refuses a file or a link that somebody else put there.
    descriptor, name = tempfile.mkstemp(".new", f".{path.name}.", path.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if hand_over is not None:
            hand_over(new)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _flush_directory(path.parent)


def write_atomically(
    path: Path, text: str, *, mode: int = 0o600, hand_over: Callable[[Path], None] | None = None
) -> None:
    """Replace the content of ``path`` by ``text``, in UTF-8, as ``replacing`` does."""
    with replacing(path, mode=mode, hand_over=hand_over) as file:
        file.write(text.encode("utf-8"))


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a directory; PostgreSQL goes on there, too.
        if error.errno not in (errno.EINVAL, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
