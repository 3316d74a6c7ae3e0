"""Adoption of the configuration that servers archive with: only what was proved is given to them.

One file is for all servers of this host and for all repositories. A server that archives into a repository
without its stanza fails, so a new repository is in the file once each of these servers has its stanza there.
A repository into which they archive already keeps nothing from them by being away: new keys of the other
one get through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ops_platform.backup.stanza import (
    BackupContext,
    ServerFile,
    adopt_configuration,
    open_context,
    pgbackrest_conf,
)
from ops_platform.errors import CheckFailed, ConfigurationError, OpsError, Unavailable

Log = Callable[[str], None]
EnsureStanza = Callable[[BackupContext], object]
"""Creates a stanza that is not in its repository; raises an OpsError when that cannot be told or done."""
_AS_BEFORE = "WARNING: the server archives as before, not as backups.yaml says now"
_ADOPTED = "pgBackRest's configuration was brought up to date; the server archives with it from now on"


@dataclass(frozen=True)
class Change:
    """What adopting the configuration would change: the file as it is, and as it should be."""

    now: ServerFile
    wanted: ServerFile

    def is_new(self, number: int) -> bool:
        """Whether servers do not archive into this place yet."""
        return self.now.place(number) != self.wanted.place(number)

    def alters(self, number: int) -> bool:
        """Whether anything is different about this repository for the clusters that the file knows."""
        return not self.now.treats_alike(self.wanted, number)

    def may_pass(self, number: int, error: OpsError) -> bool:
        """Whether the change may be adopted although the repository gave this error.

        Not a new one, nor one that is there and refuses what is new about it.
        """
        if self.is_new(number):
            return False
        return isinstance(error, Unavailable) or not self.alters(number)


@dataclass
class _Proof:
    """Stanzas that were looked for, and the repositories that hold the change up, each with its error."""

    change: Change
    ensure: EnsureStanza
    log: Log
    held: dict[int, OpsError] = field(default_factory=dict)

    def look(self, ctx: BackupContext) -> None:
        number = ctx.stanza.repository
        if number in self.held:
            return
        try:
            self.ensure(ctx)
        except OpsError as error:
            if not self.change.may_pass(number, error):
                self.held[number] = error
                return
            self.log(f"WARNING: whether stanza {ctx.stanza.name} is in its repository is unknown: {error}")


def bring_up_to_date(ctx: BackupContext, ensure: EnsureStanza, log: Log, *, is_failing: bool) -> None:
    """Give the servers the configuration that was proved, and create what stanzas it needs.

    The repository of ``ctx`` has its stanza. ``is_failing``: its server cannot archive, maybe for want of the
    stanza in the other repository. What holds a change up is logged; it keeps a backup from nothing, unless
    it is into the repository that cannot be archived into. Then raises CheckFailed.
    """
    try:
        wanted = ctx.configuration
    except ConfigurationError as error:
        log(f"{_AS_BEFORE}: {error}")
        return
    if wanted is None:
        return
    change = Change(ServerFile.read(ctx.paths.config_file), ServerFile.parse(wanted))
    proof = _Proof(change, ensure, log)
    for other in _to_look_at(ctx, change, is_failing):
        proof.look(other)
    if not proof.held:
        if adopt_configuration(ctx):
            log(_ADOPTED)
        return
    number, reason = next(iter(proof.held.items()))
    own = proof.held.get(ctx.stanza.repository)
    if own is not None:
        raise CheckFailed(
            f"no server of this host archives into the repository {ctx.config.repository.name} before each "
            f"has its stanza there: {own}"
        )
    log(f"{_AS_BEFORE}: {reason}")
    without = ctx.configuration_of_first
    if number != 1 and change.now.place(number) is None and without is not None:
        # What else is new, as keys of the first, does not wait for it.
        pgbackrest_conf.write(ctx.paths.config_file, without, ctx.settings.run_as)


def _to_look_at(ctx: BackupContext, change: Change, is_failing: bool) -> Iterator[BackupContext]:
    """Yield the stanzas whose being there has to be seen first."""
    if ctx.whole is None:
        return
    settings, config = ctx.whole
    for name, stanza in config.stanzas.items():
        if name == ctx.stanza.name:
            continue
        if stanza.cluster == ctx.stanza.cluster:
            wanted = is_failing or change.is_new(stanza.repository) or change.alters(stanza.repository)
        else:
            wanted = change.is_new(stanza.repository) and _is_here(stanza.data_dir(settings))
        if wanted:
            yield open_context(settings, name)


def _is_here(data_dir: Path) -> bool:
    """Tell whether a server of this host may have this directory: one of another host has its own file."""
    try:
        return data_dir.exists()
    except OSError:
        return True
