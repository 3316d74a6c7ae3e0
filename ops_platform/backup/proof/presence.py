"""Presence of a set's files: what its manifest names against what is listed. Pure.

Listing and remembering is in ``files_look``; whether the bytes are right is found by ``rolling``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ops_platform.clients.pgbackrest import Manifest, StoredObject, layout

NAMED_FAULTS = 3
KEPT_FAULTS = 20
"""Of the faults of one set, at most this many are kept by name."""

Folder = Mapping[str, tuple[int, int]]
"""Files in a set's folder: path -> (size in bytes, Unix seconds)."""
ManifestOf = Callable[[str], Manifest | str]
"""Reads the manifest of a set; a text that says what is wrong when there is no sound one."""


@dataclass(frozen=True)
class Faults:
    """What is wrong with the files of one set: the first ones by name, and how many there are."""

    named: tuple[str, ...] = ()
    count: int = 0

    @property
    def summary(self) -> str:
        """Name some of them in one line; empty when nothing is wrong."""
        named = self.named[:NAMED_FAULTS]
        more = self.count - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")


def faults_of(manifest: Manifest | str, folders: Mapping[str, Folder], manifest_of: ManifestOf) -> Faults:
    """Compare what a set needs with what is listed in its folder and in those that it references.

    The manifests of the references are read only where files of this set are stored in blocks: the maps of
    these may point at anything there.
    """
    if isinstance(manifest, str):
        return Faults((manifest,), 1)
    found = list(_faults(manifest, folders, manifest_of))
    return Faults(tuple(found[:KEPT_FAULTS]), len(found))


def _faults(manifest: Manifest, folders: Mapping[str, Folder], manifest_of: ManifestOf) -> Iterator[str]:
    for label, objects in manifest.objects.items():
        folder = folders.get(label, {})
        own = label == manifest.label
        for stored in objects.values():
            yield from _fault(stored, folder, whole=own and not manifest.has_blocks)
    if not manifest.has_blocks:
        return
    for label in manifest.references:
        reference = manifest_of(label)
        if isinstance(reference, str):
            yield reference
            continue
        for stored in reference.own.values():
            yield from _fault(stored, folders.get(label, {}), whole=False)


def _fault(stored: StoredObject, folder: Folder, *, whole: bool) -> Iterator[str]:
    """``whole``: the manifest names all that the object holds, so that its size is known."""
    name = f"{stored.label}/{stored.path}"
    listed = folder.get(stored.path)
    if listed is None:
        yield f"{name} is missing"
        return
    size, packed = listed[0], stored.path.startswith(f"{layout.BUNDLES}/")
    if size < stored.size or (size > stored.size and (whole or not packed)):
        yield f"{name} has {size} bytes, not {stored.size}"
