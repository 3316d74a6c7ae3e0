"""Output of ``pgbackrest verify --output=text --verbose``: which sets it found valid. Pure.

Its exit code means nothing (upstream issue 2502), and it names no file: only counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SET = re.compile(
    r"\s*backup: (?P<label>\S+), status: (?P<status>[a-z -]+), total files checked: (?P<checked>\d+), "
    r"total valid files: (?P<valid>\d+)"
)


def valid_sets(lines: Iterable[str]) -> dict[str, bool]:
    """Tell of each set in the output whether all its files were checked and are valid."""
    return {
        match["label"]: match["status"] == "valid" and match["checked"] == match["valid"] != "0"
        for line in lines
        if (match := _SET.match(line))
    }
