"""The console script in this process: the same entry, without a second of CPU for its start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from ops_platform.cli import main


class Console:
    """``ops-platform`` with an environment of its own."""

    def __init__(
        self,
        environment: Mapping[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self._environment = environment
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """``ops-platform ARGUMENTS``; never raises for its exit code."""
        with self._monkeypatch.context() as patch:
            patch.setattr(os, "environ", {**self._environment, **environ})
            patch.setattr(sys, "argv", ["ops-platform", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        shown = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return subprocess.CompletedProcess([*arguments], ended.value.code, shown.out, shown.err)
