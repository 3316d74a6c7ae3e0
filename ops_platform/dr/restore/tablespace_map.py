"""The directories of a restored cluster's tablespaces: their own, those somebody named, or new ones.

A tablespace's own place is mostly still in use by the old cluster. Nothing there is ever overwritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops_platform.backup.stanza import BackupContext
from ops_platform.dr.restore import workspace
from ops_platform.dr.restore.workspace import Workspace
from ops_platform.errors import CheckFailed, ConfigurationError

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Tablespace:
    """A tablespace of a set; ``location`` is its directory at the source."""

    oid: int
    name: str
    location: Path


@dataclass(frozen=True)
class Placement:
    """The directory into which a tablespace is restored, and why it is not its own."""

    tablespace: Tablespace
    directory: Path
    reason: str = ""

    @property
    def option(self) -> str:
        """The argument of ``pgbackrest restore``."""
        return f"--tablespace-map={self.tablespace.oid}={self.directory}"

    def __str__(self) -> str:
        name, own = self.tablespace.name, self.tablespace.location
        if self.directory == own:
            return f"{name}: {own}"
        return f"{name}: {self.directory}, not {own}{f' ({self.reason})' if self.reason else ''}"


def of_set(reader: BackupContext, label: str) -> list[Tablespace]:
    """List the tablespaces of a set, from its manifest. Raises PgBackRestError."""
    return [
        Tablespace(entry.oid, entry.name, Path(entry.destination))
        for entry in reader.pgbackrest.tablespaces(label)
    ]


def below(tablespaces: Iterable[Tablespace], base: Path) -> list[Placement]:
    """Place all tablespaces below ``base``, whatever is at their own place."""
    return [Placement(tablespace, base / _directory_name(tablespace)) for tablespace in tablespaces]


def place(tablespaces: Sequence[Tablespace], given: Mapping[str, Path], base: Path) -> list[Placement]:
    """Place each where ``given`` says (by name, OID or own directory), else at its own place if that is free.

    Those whose own place is in use, or cannot be made here, go below ``base``. Only looks. Raises
    ConfigurationError for a ``given`` one that the set does not have.
    """
    known = {
        key: tablespace
        for tablespace in tablespaces
        for key in (tablespace.name, str(tablespace.oid), str(tablespace.location))
    }
    unknown = [old for old in given if old not in known]
    if unknown:
        names = ", ".join(f"{one.name} ({one.location})" for one in tablespaces) or "none"
        raise ConfigurationError(f"--tablespace-map: the set has no tablespace {unknown[0]}; it has {names}")
    chosen = {known[old]: directory for old, directory in given.items()}
    placements = []
    for tablespace in tablespaces:
        in_the_way = _in_the_way(tablespace.location)
        if tablespace in chosen:
            placements.append(Placement(tablespace, chosen[tablespace]))
        elif in_the_way is None:
            placements.append(Placement(tablespace, tablespace.location))
        else:
            placements.append(Placement(tablespace, base / _directory_name(tablespace), in_the_way))
    return placements


def beside(data_dir: Path) -> Path:
    """Return the directory for tablespaces beside a data directory: pgBackRest refuses them inside it."""
    return data_dir.with_name(f"{data_dir.name}.tablespaces")


def require_usable(here: Workspace, placements: Sequence[Placement]) -> None:
    """Check that all directories are free, apart from each other and from the data, and can be reached.

    Raises CheckFailed or ConfigurationError that names the tablespace.
    """
    taken = {here.data_dir: "the data directory"}
    for placement in placements:
        name, directory = placement.tablespace.name, placement.directory
        for other, owner in taken.items():
            if directory == other or directory.is_relative_to(other) or other.is_relative_to(directory):
                raise ConfigurationError(
                    f"tablespace {name} cannot go to {directory}: {owner} is at {other}; give it a directory "
                    f"of its own with --tablespace-map {name}=DIR"
                )
        taken[directory] = f"tablespace {name}"
        if (reason := _in_the_way(directory, parents=True)) is not None:
            raise CheckFailed(
                f"tablespace {name} cannot go to {directory}: {reason}; give it another with "
                f"--tablespace-map {name}=DIR"
            )
        workspace.require_reachable(directory, here.run_as)


def make_directories(here: Workspace, placements: Iterable[Placement]) -> None:
    """Make the directories that are not there, for PostgreSQL's user. Raises ConfigurationError."""
    for placement in placements:
        if not placement.directory.parent.exists():
            workspace.make_directory(placement.directory.parent, here.run_as)
        workspace.make_directory(placement.directory, here.run_as)


def require_space(here: Workspace, placements: Iterable[Placement], needed_bytes: int) -> int | None:
    """Check the free space of the one file system that everything goes to; return it in bytes.

    None: several file systems, and no set says how much goes to which. Raises CheckFailed.
    """
    place_of_data = workspace.existing(here.data_dir)
    device = place_of_data.stat().st_dev
    places = [workspace.existing(placement.directory) for placement in placements]
    if any(place.stat().st_dev != device for place in places):
        return None
    return workspace.require_space(place_of_data, needed_bytes)


def _in_the_way(directory: Path, *, parents: bool = False) -> str | None:
    """Say why a tablespace cannot go to ``directory``; None: it is empty, or can be made.

    ``parents``: directories above it may be made, too.
    """
    try:
        if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
            return "it is not a directory"
        if directory.exists():
            return None if next(directory.iterdir(), None) is None else "it is not empty"
        if not parents and not directory.parent.is_dir():
            return f"{directory.parent} is not on this machine"
    except PermissionError:
        return "it cannot be read"
    return None


def _directory_name(tablespace: Tablespace) -> str:
    return tablespace.name if _PLAIN.fullmatch(tablespace.name) else str(tablespace.oid)
