"""pgBackRest's commands, with their output and progress. Reports, locks and retention are not known here.

What its JSON says is in ``answers``.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_platform.clients.child_process import Ended, Launcher, Pace, Stalled, TimedOut
from ops_platform.clients.pgbackrest import abilities, answers
from ops_platform.clients.pgbackrest.answers import (
    MISSING_DATA,
    NO_PATH,
    StanzaInfo,
    StoredEntry,
    TablespaceEntry,
)
from ops_platform.clients.pgbackrest.exit_codes import (
    ARCHIVE_TIMEOUT,
    CRYPTO,
    FILE_MISSING,
    LABEL_NOT_NEWEST,
    LOCKED,
    PgBackRestError,
    explain,
    index_gone,
)
from ops_platform.clients.pgbackrest.layout import Layout
from ops_platform.clients.pgbackrest.log_lines import Line
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.settings import named_for

__all__ = ["ARCHIVE_TIMEOUT", "LABEL_NOT_NEWEST", "LOCKED", "PgBackRest", "PgBackRestError"]

ANSWER_SECONDS = 150.0
"""Default timeout of commands that only read; pgBackRest's own retries end well before."""

STALL_SECONDS = 600.0
"""Default time in which a restore has to get on."""
STALL_BYTES = 1 << 20
"""So many bytes in that time are the least, or STALL_LINES."""
STALL_LINES = 300
"""So many lines in that time are the least, about one for each file: a cluster has thousands of tiny ones."""

PROGRESS_STEP = 0.01


@dataclass(frozen=True)
class PgBackRest:
    """One stanza through one configuration file.

    Every command may raise PgBackRestError, whose message says what to do, and Unavailable when
    the program is missing.
    """

    binary: str
    config_file: Path
    stanza: str
    run_as: str | None = None
    environment: Mapping[str, str] | None = None
    answer_seconds: float = ANSWER_SECONDS
    """Timeout of commands that only read."""
    stall_seconds: float = STALL_SECONDS
    """Time without progress after which a restore is ended."""
    as_of: datetime | None = None
    """Read the repository as it was then, from the versions in its bucket; None: as it is."""
    repository: int = 1
    """The number of the repository whose settings messages name; the configuration has it as its only one."""

    @property
    def layout(self) -> Layout:
        """Paths of the stanza in the repository."""
        return Layout(self.stanza)

    @property
    def options(self) -> list[str]:
        """Options of every command on the stanza: configuration, stanza, the moment of the repository."""
        past = [] if self.as_of is None else abilities.past_options(self.as_of)
        return [f"--config={self.config_file}", f"--stanza={self.stanza}", *past]

    def version(self) -> tuple[int, int]:
        """Return the version, (2, 45) for pgBackRest 2.45. Raises Unavailable when it cannot be read."""
        ended = self._launcher.run([self.binary, "version"], timeout=self.answer_seconds)
        version = re.search(r"(\d+)\.(\d+)", ended.stdout)
        if ended.code or not version:
            raise Unavailable(f"{self.binary} does not tell its version: correct OPS_PGBACKREST_BINARY")
        return int(version[1]), int(version[2])

    def info(self) -> StanzaInfo:
        """Return what the repository's index says of the stanza.

        It is read as it is stored where that can be done: ``info`` lists the archive too, four requests that
        cost as much as fifty readings. Where it cannot, ``info`` says what is wrong.

        ``info`` exits with 0 even when the repository cannot be read, or its index is gone; here that raises
        PgBackRestError.
        """
        indexed = self._indexed()
        if indexed is not None:
            return indexed
        answer = self._json("info", self._ask("info", "--output=json"))
        info = StanzaInfo.parse(answer[0]) if answer else StanzaInfo(NO_PATH)
        if info.unreadable is not None:
            raise self._explained("info", None, info.unreadable)
        if info.status == MISSING_DATA:
            raise index_gone("info", self.stanza)
        return info

    def _indexed(self) -> StanzaInfo | None:
        """Read the index; None when one of its two files is missing or damaged."""
        try:
            self.repo_get(self.layout.archive_info)
            return StanzaInfo.of_index(self.repo_get(self.layout.backup_info))
        except PgBackRestError as error:
            if error.code not in (FILE_MISSING, CRYPTO):
                raise
        except (CheckFailed, ValueError, KeyError, TypeError):
            pass
        return None

    def tablespaces(self, label: str) -> list[TablespaceEntry]:
        """Return the tablespaces of one set."""
        return answers.tablespaces(
            self._json("info", self._ask("info", "--output=json", f"--set={label}")), label
        )

    def stanza_create(self) -> None:
        """Create the stanza; safe to repeat. Fails with code 28 when it belongs to another cluster."""
        self._command("stanza-create")

    def stanza_upgrade(self) -> None:
        """Let the stanza stand for the cluster that the server runs now; does nothing when it does."""
        self._command("stanza-upgrade")

    def check(self, archive_timeout: int) -> None:
        """Make the server switch WAL and wait up to ``archive_timeout`` seconds for it to be archived."""
        self._command("check", f"--archive-timeout={archive_timeout}")

    def repo_ls(self, path: str, recurse: bool = False) -> dict[str, StoredEntry]:
        """List the entries below ``path`` by name; empty when there is no such path."""
        options = ["--recurse"] if recurse else []
        answer = self._ask("repo-ls", "--output=json", "--sort=none", *options, path)
        entries = self._json("repo-ls", answer)
        return {name: StoredEntry.parse(entry) for name, entry in entries.items() if name != "."}

    def repo_get(self, path: str) -> str:
        """Return a text file of the repository, decrypted; for example a timeline history.

        Bytes that are no UTF-8, of a file's name in a manifest, are escaped as in ``os.fsdecode``.
        """
        return self._ask("repo-get", path, errors="surrogateescape")

    def backup(
        self,
        backup_type: str,
        annotations: Mapping[str, str],
        on_line: Callable[[str], None],
        on_progress: Callable[[float], None],
    ) -> str:
        """Take a backup (``full``, ``diff`` or ``incr``) and return its label.

        ``on_line`` gets pgBackRest's lines of level INFO and above; ``on_progress`` the fraction
        copied, 0 to 1. Fails with code 50 while another backup, expire or stanza command runs.
        """
        label: str | None = None

        def look(line: Line) -> None:
            nonlocal label
            on_line(line.raw)
            label = line.new_label or label

        annotation_options = [f"--annotation={name}={value}" for name, value in annotations.items()]
        self._follow(
            "backup",
            [f"--type={backup_type}", *annotation_options],
            "detail",
            _progressing(look, lambda copied, _: on_progress(copied)),
        )
        if label is None:
            raise PgBackRestError(
                f"pgBackRest backup of stanza {self.stanza} ended without naming its set: look at its log"
            )
        on_progress(1.0)
        return label

    def restore(
        self,
        options: Sequence[str],
        on_line: Callable[[str], None],
        on_progress: Callable[[float, datetime | None], None],
    ) -> None:
        """Restore into the data directory of the configuration, which must be empty.

        ``on_progress`` gets the fraction copied, 0 to 1, and the time at which pgBackRest logged it (its
        clock, to the millisecond; None at the end): lines can arrive late, many at once.

        ``options`` choose set and target. Fails with code 40 when the directory is not empty,
        38 while a server runs in it, 75 when no set reaches the target. Raises Unavailable when it makes no
        progress and was stopped.
        """

        def look(line: Line) -> None:
            on_line(line.raw)

        def say_blind() -> None:
            on_line(
                "WARNING: this system does not tell how much pgBackRest writes (/proc/PID/io): a restore "
                "that makes no progress is not noticed, so follow it, and end it yourself"
            )

        pace = Pace(self.stall_seconds, STALL_BYTES, STALL_LINES, say_blind)
        try:
            self._follow("restore", list(options), "detail", _progressing(look, on_progress), pace)
        except Stalled:
            raise Unavailable(
                f"pgBackRest restore of stanza {self.stanza} made no progress for {self.stall_seconds:g} s "
                f"(less than {STALL_BYTES >> 20} MiB, and than {STALL_LINES} files) and was stopped: S3 or "
                "the way to it is too slow; look at both, then restore again into an empty directory, or "
                "raise OPS_PGBACKREST_STALL_SECONDS"
            ) from None
        on_progress(1.0, None)

    def expire(self, *, dry_run: bool, on_line: Callable[[str], None] = lambda line: None) -> list[str]:
        """Apply the retention of the configuration, or with ``dry_run`` only report what it would remove.

        Returns pgBackRest's messages.
        """
        messages: list[str] = []

        def look(line: Line) -> None:
            messages.append(line.text)
            on_line(line.raw)

        self._follow("expire", ["--dry-run"] if dry_run else [], "info", look)
        return messages

    def verify(self, label: str | None = None, timeout: float | None = None) -> list[str]:
        """Verify the repository, or one set of it, and return the lines of the output.

        ``verify`` exits with 0 even when it found damage (upstream issue 2502): read the lines. One that does
        not end within ``timeout`` seconds is ended, leaves nothing, and raises Unavailable.
        """
        set_options = [] if label is None else [f"--set={label}"]
        asked = self if timeout is None else replace(self, answer_seconds=timeout)
        limited = timeout is not None
        return asked._ask("verify", "--output=text", "--verbose", *set_options, limited=limited).splitlines()

    # --- running ----------------------------------------------------------------------------------

    @property
    def _launcher(self) -> Launcher:
        return Launcher(self.run_as, self.environment)

    def _argv(self, command: str, console: str, stderr: str, options: list[str]) -> list[str]:
        return [
            self.binary,
            *self.options,
            f"--log-level-console={console}",
            f"--log-level-stderr={stderr}",
            command,
            *options,
        ]

    def _ask(self, command: str, *options: str, limited: bool = True, errors: str = "replace") -> str:
        """Run a command whose stdout is its answer, for ``answer_seconds`` at most if ``limited``."""
        argv = self._argv(command, "off", "error", list(options))
        try:
            timeout = self.answer_seconds if limited else None
            ended = self._launcher.run(argv, timeout=timeout, errors=errors)
        except TimedOut:
            raise Unavailable(
                f"pgBackRest {command} of stanza {self.stanza} had no answer within "
                f"{self.answer_seconds:g} s and was stopped: S3 or the way to it is too slow; look at both, "
                "then try again, or raise OPS_PGBACKREST_ANSWER_SECONDS"
            ) from None
        self._raise_if_failed(command, ended, ended.stderr)
        return ended.stdout

    def _command(self, command: str, *options: str) -> None:
        self._follow(command, list(options), "info", lambda line: None)

    def _follow(
        self,
        command: str,
        options: list[str],
        console: str,
        look: Callable[[Line], None],
        pace: Pace | None = None,
    ) -> None:
        """Run a command whose stdout is its log, and pass each line to ``look``."""
        errors: list[str] = []
        warnings: deque[str] = deque(maxlen=50)
        collected: MutableSequence[str] | None = None

        def on_line(raw: str) -> None:
            nonlocal collected
            line = Line.parse(raw)
            if line is None:
                # A message of several lines goes on.
                if collected is not None:
                    collected.append(raw)
                return
            collected = {"ERROR": errors, "WARN": warnings}.get(line.level)
            if collected is not None:
                collected.append(raw)
            look(line)

        ended = self._launcher.follow(self._argv(command, console, "off", options), on_line, pace)
        self._raise_if_failed(command, ended, "\n".join(errors) or ended.stderr, "\n".join(warnings))

    def _json(self, command: str, answer: str) -> Any:
        try:
            # With a wrong passphrase ``info`` quotes ciphertext, with unescaped control characters.
            return json.loads(answer, strict=False)
        except json.JSONDecodeError:
            raise self._explained(command, None, answer) from None

    def _raise_if_failed(self, command: str, ended: Ended, text: str, warnings: str = "") -> None:
        if ended.code:
            raise self._explained(command, ended.code, text, warnings)

    def _explained(self, command: str, code: int | None, text: str, warnings: str = "") -> PgBackRestError:
        error = explain(command, self.stanza, code, text, warnings)
        return PgBackRestError(named_for(self.repository, str(error)), error.code)


def _progressing(
    look: Callable[[Line], None], on_progress: Callable[[float, datetime], None]
) -> Callable[[Line], None]:
    """Turn lines of level DETAIL, one per file (hundreds of thousands in a large cluster), into progress."""
    reported = 0.0

    def on_line(line: Line) -> None:
        nonlocal reported
        if line.level != "DETAIL":
            look(line)
        elif (fraction := line.fraction) is not None and fraction >= reported + PROGRESS_STEP:
            reported = fraction
            on_progress(fraction, line.logged_at)

    return on_line
