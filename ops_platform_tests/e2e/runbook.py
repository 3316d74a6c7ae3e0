"""A runbook as a person would use it: its shell blocks, typed into one shell one command after the other."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TYPED = """\
. {state}
eval "$1"
code=$?
export -p > {state}
exit $code
"""


@dataclass(frozen=True)
class Block:
    """One fenced ``sh`` block below a heading."""

    section: str
    commands: Sequence[str]


def blocks(text: str) -> list[Block]:
    """The shell blocks of a Markdown text; a line that ends in a backslash goes on."""
    found: list[Block] = []
    section, fence = "", ""
    lines: list[str] = []
    for line in text.splitlines():
        if fence and line.startswith("```"):
            if fence == "sh":
                joined = "\n".join(lines).replace("\\\n", " ")
                found.append(Block(section, [one for one in joined.splitlines() if one.strip()]))
            fence, lines = "", []
        elif fence:
            lines.append(line)
        elif line.startswith("```"):
            fence = line[3:].strip() or "text"
        elif line.startswith("#"):
            section = line.lstrip("#").strip()
    return found


@dataclass
class Shell:
    """Exported variables outlive a command, as in a terminal."""

    directory: Path
    environment: Mapping[str, str]
    timeout: float = 280

    def __post_init__(self) -> None:
        self._state.write_text("", encoding="utf-8")

    @property
    def _state(self) -> Path:
        return self.directory / "exported"

    def set(self, **values: str) -> None:
        with self._state.open("a", encoding="utf-8") as file:
            file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        script = _TYPED.format(state=shlex.quote(str(self._state)))
        return subprocess.run(
            ["/bin/bash", "-uo", "pipefail", "-c", script, "bash", command],
            env=dict(self.environment),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
        )


@dataclass
class Runbook:
    """Executes blocks by section and remembers which commands were executed."""

    path: Path
    shell: Shell
    executed: set[tuple[str, str]] = field(default_factory=set)

    @property
    def blocks(self) -> list[Block]:
        return blocks(self.path.read_text(encoding="utf-8"))

    def do(
        self, section: str, containing: str = "", *, fails: Mapping[str, int] | None = None
    ) -> dict[str, str]:
        """Run the section's commands that contain a text, all of them by default; what each printed.

        ``fails``: the exit code expected of commands that contain the key; all others end with 0.
        """
        wanted = [
            command
            for block in self.blocks
            if block.section == section
            for command in block.commands
            if containing in command
        ]
        assert wanted, f"{self.path.name} has no command with {containing!r} in section {section!r}"
        printed = {}
        for command in wanted:
            done = self.shell.run(command)
            expected = next((code for part, code in (fails or {}).items() if part in command), 0)
            told = f"{command}\n{done.stdout}{done.stderr}"
            assert done.returncode == expected, f"exit {done.returncode}, expected {expected}: {told}"
            assert not re.search(r"unbound variable|Traceback", done.stderr), told
            self.executed.add((section, command))
            printed[command] = done.stdout + done.stderr
        return printed

    def never_executed(self) -> list[tuple[str, str]]:
        every = [(block.section, command) for block in self.blocks for command in block.commands]
        return [one for one in every if one not in self.executed]
