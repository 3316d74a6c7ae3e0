"""Promotion of a backup to a full: where pgBackRest would do it silently, and whether it may.

Only a stanza's very first backup becomes a full without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ops_platform.backup.repository import KeptIndex, Repository, without_manifest
from ops_platform.backup.stanza import BackupContext, Kind
from ops_platform.backup.taking import recorded_sets
from ops_platform.backup.taking.report import BackupRequest
from ops_platform.clients import postgres
from ops_platform.clients.pgbackrest import layout
from ops_platform.errors import CheckFailed

NAMED_SETS = 5


def foresee_kind(
    ctx: BackupContext, request: BackupRequest, repository: Repository, log: Callable[[str], None]
) -> Kind:
    """Tell which kind pgBackRest is going to make: a full, where there is nothing to build on.

    It strikes sets whose manifest is gone off its index, silently, and all that build on them. Raises
    CheckFailed when a chain broke so, unless the request allows the promotion.
    """
    unreadable = without_manifest(ctx, repository.sets)
    struck = sorted(repository.dependents(unreadable))
    if struck:
        log(f"WARNING: no manifest for {_listed(sorted(unreadable))}: pgBackRest forgets {_listed(struck)}")
    if request.kind == "full" or repository.without(unreadable).has_full():
        return request.kind
    first = not repository.sets and not _was_ever_backed_up(ctx)
    if not first and not request.allow_promotion:
        if not struck and _was_replaced(repository):
            raise CheckFailed(
                f"the cluster of stanza {ctx.stanza.name} was replaced and has no full of its own yet: "
                f"run 'ops-platform backup full --stanza {ctx.stanza.name}'"
            )
        cause = (
            f"the manifest of {_listed(sorted(unreadable))} is gone, {len(struck)} sets cannot be restored"
            if struck
            else "sets were taken before, and the repository lists no full of this cluster"
        )
        raise CheckFailed(
            f"the {request.kind} of stanza {ctx.stanza.name} would become a full, its chain broke: {cause}; "
            "follow the runbook of BackupSetsLost, then take a full on purpose, or use --allow-promotion"
        )
    log(f"WARNING: no full backup of this cluster exists: the {request.kind} asked for will be a full")
    return "full"


def refuse_new_stanza(ctx: BackupContext, allow_promotion: bool) -> None:
    """Refuse to create a stanza that was there before: a new one in its place would hide what is lost.

    Raises CheckFailed unless ``allow_promotion``; the errors of the stores that are asked.
    """
    if allow_promotion:
        return
    name = ctx.stanza.name
    with postgres.session(ctx.ops_url, application="ops-platform preflight") as connection:
        recorded = recorded_sets.expected(connection, name)
    kept = []
    if KeptIndex.is_configured(ctx.settings):
        kept = KeptIndex.open(ctx.settings, name).versions(layout.BACKUP_INFO)
    if recorded or kept:
        raise CheckFailed(
            f"the repository holds nothing of stanza {name}, and {len(recorded)} sets of it are recorded: "
            "correct its bucket and path, or follow the runbook of RepositoryIndexLost; to begin anew in an "
            "empty repository, use --allow-promotion"
        )


def _was_replaced(repository: Repository) -> bool:
    """Tell whether all sets are of clusters for which the stanza stood before an upgrade."""
    current = repository.current
    return bool(repository.sets) and all(
        current is not None and backup_set.database_id < current.id for backup_set in repository.sets
    )


def _was_ever_backed_up(ctx: BackupContext) -> bool:
    """Tell whether a set was taken before: by the reports, or by the history that pgBackRest keeps."""
    with postgres.session(ctx.ops_url, application="ops-platform preflight") as connection:
        if recorded_sets.history(connection, ctx.stanza.name).promised_from is not None:
            return True
    return bool(ctx.pgbackrest.repo_ls(ctx.pgbackrest.layout.set_history))


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - NAMED_SETS} more" if len(labels) > NAMED_SETS else ""
    return ", ".join(labels[:NAMED_SETS]) + more
