"""What the workers of pytest-xdist prepare for each other: each a share of what all of them need.

In a clean clone every worker would rewrite the assertions of all test modules and search all of the product's
for constants, at the same time: half a minute of CPU for the same files. Each begins with other ones, and
finds on the disk what the others have done meanwhile.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis.internal import constants_ast

from ops_platform_tests import hypothesis_profile

Shared = TypeVar("Shared")


def share(things: Sequence[Shared], config: pytest.Config) -> Sequence[Shared]:
    """Choose this worker's: every third of three; none in a process that works alone."""
    worker = getattr(config, "workerinput", None)
    if worker is None:
        return ()
    return things[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]


def import_modules(paths: Sequence[Path], config: pytest.Config, *, fast: bool) -> None:
    """Import this worker's share of the test modules; what is wrong with one, its collection tells."""
    hypothesis_profile.load(fast=fast)
    root = Path(__file__).parent.parent
    for path in share(paths, config):
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))


def find_constants(config: pytest.Config) -> None:
    """Search this worker's share of the modules for what properties draw from; it is kept on disk."""
    files = {getattr(module, "__file__", None) or "": module for module in list(sys.modules.values())}
    ours = [files[file] for file in sorted(files) if file and constants_ast.is_local_module_file(file)]
    for module in share(ours, config):
        constants_ast.constants_from_module(module)
