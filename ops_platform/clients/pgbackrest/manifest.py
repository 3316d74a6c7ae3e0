"""Manifest of a set: the objects that hold its files, and the checksum of every stored byte.

Pure; it reads the text that ``repo-get`` decrypts. The format is that of pgBackRest 2.45 to 2.60
(``src/info/manifest.c``): sections in brackets, ``key=JSON`` below them, a SHA-1 over all at the end.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ops_platform.clients.pgbackrest.layout import BUNDLES
from ops_platform.errors import CheckFailed

# The ending of a stored file by the value of option-compress-type.
_ENDINGS = {"none": "", "gz": ".gz", "lz4": ".lz4", "zst": ".zst", "bz2": ".bz2"}
_BLOCKS = ".pgbi"
"""Ending of a file that is stored in blocks, whose map says which set holds each block."""

_ESCAPES = str.maketrans({character: json.dumps(character)[1:-1] for character in '"\\\n\r\t\b\f'})


@dataclass(frozen=True)
class StoredFile:
    """One file of the cluster within a stored object: ``size`` bytes from ``offset`` on.

    ``checksum`` is the SHA-1 of those bytes as they are stored; None when the manifest, of a pgBackRest
    before 2.45, knows only that of the bytes before compression and encryption.
    """

    name: str
    offset: int
    size: int
    checksum: str | None


@dataclass(frozen=True)
class StoredObject:
    """An object in the folder of the set ``label``, and what the manifest says that it holds.

    ``path`` is relative to that folder; ``files`` in the order of their offsets.
    """

    label: str
    path: str
    files: tuple[StoredFile, ...]

    @property
    def size(self) -> int:
        """Size in bytes: up to the end of the last file in it."""
        return max(file.offset + file.size for file in self.files)


@dataclass(frozen=True)
class Manifest:
    """The objects that a set needs: its own and those of the sets that it references.

    ``objects`` maps each set's label to its objects by path. What a referenced set's object holds is known
    in part only: the files that this set uses.
    """

    label: str
    references: tuple[str, ...]
    """Other sets that hold files of this one."""
    has_blocks: bool
    """True when files are stored in blocks: their maps may point at any object of the references."""
    objects: Mapping[str, Mapping[str, StoredObject]]

    @classmethod
    def parse(cls, text: str) -> Manifest:
        """Read a manifest. Raises CheckFailed when it is damaged or its own checksum is wrong."""
        try:
            return cls._parse(text)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckFailed(f"it cannot be read ({type(error).__name__})") from None

    @classmethod
    def _parse(cls, text: str) -> Manifest:
        sections: dict[str, dict[str, Any]] = defaultdict(dict)
        for section, key, value, _ in checked_lines(text):
            sections[section][key] = value
        label = str(sections["backup"]["backup-label"])
        stored_plain = "cipher-pass" not in sections["cipher"]
        ending = _ENDINGS[sections["backup:option"].get("option-compress-type", _old_type(sections))]
        bundled = bool(sections["backup"].get("backup-bundle", False))
        found: dict[tuple[str, str], list[StoredFile]] = defaultdict(list)
        for name, entry in sections["target:file"].items():
            if entry["size"] == 0 and bundled:
                continue  # pgBackRest stores nothing for it
            # As listings have it; escaped bytes cannot be stored in a database or sent.
            shown = name.encode(errors="surrogateescape").decode(errors="replace")
            path, file = _stored(shown, entry, ending, as_they_are=stored_plain and not ending)
            found[entry.get("reference", label), path].append(file)
        objects: dict[str, dict[str, StoredObject]] = {label: {}}
        for (owner, path), files in found.items():
            ordered = tuple(sorted(files, key=lambda file: file.offset))
            objects.setdefault(owner, {})[path] = StoredObject(owner, path, ordered)
        listed = str(sections["backup"].get("backup-reference", "")).split(",")
        references = sorted({*objects, *filter(None, listed)} - {label})
        has_blocks = any("bim" in entry for entry in sections["target:file"].values())
        return cls(label, tuple(references), has_blocks, objects)

    @property
    def own(self) -> Mapping[str, StoredObject]:
        """The objects in the set's own folder, by path; the manifest itself is not among them."""
        return self.objects[self.label]


def checked_lines(text: str) -> Iterator[tuple[str, str, Any, str]]:
    """Yield (section, key, value, value as written) of an info file or manifest of pgBackRest.

    ``text`` as ``repo_get`` gives it, with bytes of names that are no UTF-8 escaped.
    Raises CheckFailed at the end when the file's own checksum is wrong or missing, ValueError for what is
    no such file.
    """
    section, last, digest, expected = "", "", hashlib.sha1(b"{", usedforsecurity=False), None
    # Not splitlines(): the name of a file may hold what Unicode calls the end of a line.
    for line in text.split("\n"):
        if not line:
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, written = _split(line)
        value = _json(written)
        if (section, key) == ("backrest", "backrest-checksum"):
            expected = value
            continue
        begin = "," if section == last else ("}," if last else "") + json.dumps(section) + ":{"
        digest.update(f"{begin}{_quoted(key)}:{written}".encode(errors="surrogateescape"))
        last = section
        yield section, key, value, written
    digest.update(b"}}")
    if expected != digest.hexdigest():
        raise CheckFailed("its own checksum is wrong")


def _split(line: str) -> tuple[str, str]:
    """Split ``key=JSON``. A key, the name of a file, may hold ``=``: the first split with JSON counts."""
    at = line.find("=")
    while at > 0:
        try:
            _json(line[at + 1 :])
        except json.JSONDecodeError:
            at = line.find("=", at + 1)
        else:
            return line[:at], line[at + 1 :]
    raise ValueError("a line is not key=value")


def _json(written: str) -> Any:
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:
        if written.isascii():
            raise
    return json.loads(written)  # takes escaped bytes, in the name of a link or a database


def _quoted(key: str) -> str:
    """Write a key as JSON the way pgBackRest does for the checksum: other control characters as they are."""
    return f'"{key.translate(_ESCAPES)}"'


def _old_type(sections: Mapping[str, Mapping[str, Any]]) -> str:
    return "gz" if sections["backup:option"].get("option-compress") else "none"


def _stored(name: str, entry: Mapping[str, Any], ending: str, *, as_they_are: bool) -> tuple[str, StoredFile]:
    """Tell which object holds a file, and where in it; ``as_they_are``: bytes are stored unchanged."""
    size = int(entry.get("repo-size", entry["size"]))
    unchanged = as_they_are and "bi" not in entry
    checksum = entry.get("rck") or (_plain_checksum(entry) if unchanged else None)
    if "bni" in entry:
        return f"{BUNDLES}/{entry['bni']}", StoredFile(name, int(entry.get("bno", 0)), size, checksum)
    return f"{name}{_BLOCKS if 'bi' in entry else ending}", StoredFile(name, 0, size, checksum)


def _plain_checksum(entry: Mapping[str, Any]) -> str | None:
    if entry["size"] == 0:
        return hashlib.sha1(b"", usedforsecurity=False).hexdigest()
    checksum: str | None = entry.get("checksum")
    return checksum
