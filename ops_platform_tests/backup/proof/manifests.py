"""Manifests of any shape, as pgBackRest writes them: with a checksum over their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

Entries = Mapping[str, Mapping[str, Any]]


def sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def manifest(
    label: str,
    files: Entries,
    *,
    codec: str = "lz4",
    encrypted: bool = True,
    bundled: bool = True,
    version: str = "2.45",
) -> str:
    references = sorted({str(entry.get("reference", label)) for entry in files.values()} | {label})
    backup: dict[str, Any] = {"backup-bundle": True} if bundled else {}
    backup |= {"backup-label": label, "backup-reference": ",".join(references), "backup-type": "full"}
    sections: dict[str, Mapping[str, Any]] = {
        "backrest": {"backrest-format": 5, "backrest-version": version},
        "backup": backup,
        "backup:option": {"option-compress-type": codec},
    }
    if encrypted:
        sections["cipher"] = {"cipher-pass": "a passphrase for tests"}
    sections["target:file"] = files
    return written(sections)


def written(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of an info file: sections in order, then the checksum."""
    lines, summed = [], []
    for name, values in sections.items():
        texts = {key: json.dumps(value, separators=(",", ":")) for key, value in values.items()}
        lines += [f"[{name}]", *(f"{key}={text}" for key, text in texts.items()), ""]
        inner = ",".join(f"{json.dumps(key)}:{text}" for key, text in texts.items())
        summed.append(f"{json.dumps(name)}:{{{inner}}}")
    checksum = sha1(("{" + ",".join(summed) + "}").encode())
    return "\n".join([*lines, "[backrest]", f'backrest-checksum="{checksum}"', ""])
