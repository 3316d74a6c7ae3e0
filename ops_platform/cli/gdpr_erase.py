"""``ops-platform gdpr erase``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ops_platform.cli import arguments, output
from ops_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from ops_platform.gdpr.lineage import Effect

Erase = Callable[[str], "dict[str, Any] | None"]


@click.command()
@arguments.data_map
@arguments.subject_file
@click.option(
    "--no-tombstone",
    is_flag=True,
    help="For a database that has no ops database: nothing remembers the erasure, and a restored backup "
    "brings the subject back.",
)
@output.as_json
def erase(data_map: Path | None, subject_file: TextIO, no_tombstone: bool, json_output: bool) -> None:
    """Erase subjects for good, as the data map says. Exit 1 when one is not there. 'preview' is the dry run.

    Needs the ops database, OPS_GDPR_ENCRYPTION_KEY and OPS_GDPR_SIGNING_KEY, and ends with a certificate for
    each; what was killed or failed goes on when the command is given again. Subjects are numbered as they
    are given, and never named. The product database is OPS_PRODUCT_ERASER_DATABASE_URL, else
    OPS_PRODUCT_DATABASE_URL, else what libpq's own variables say, brought up by 'ops-platform migrate'.

    \b
    Example:
      echo 0f5b2c… | ops-platform gdpr erase --subject-file -
    """
    keys, settings = arguments.subject_keys(subject_file), load_settings()
    erase_one, close = (_without if no_tombstone else _with)(settings, data_map)
    done: list[dict[str, Any]] = []
    try:
        for number, key in enumerate(keys, 1):
            click.echo(f"subject {number}", err=True)
            done.append({"subject": number, **(erase_one(key) or {"found": False})})
    finally:
        # Also when a later one fails: those before are erased, and have their certificates.
        close()
        if json_output:
            output.print_json(done)
        else:
            for one in done:
                _print(one)
    if not all(one["found"] for one in done):
        output.end(1)


def _with(settings: Settings, data_map: Path | None) -> tuple[Erase, Callable[[], None]]:
    from ops_platform.dr.verification import backup_expiry
    from ops_platform.gdpr.erasure import command_line
    from ops_platform.gdpr.erasure import context as erasure_context

    url = settings.require("database_url")
    context = erasure_context.open_context(settings, backup_expiry.product_backup_term(settings), data_map)

    def one(key: str) -> dict[str, Any] | None:
        done = command_line.erase(url, context, key, _log)
        if done is None:
            return None
        issued = done.certificate
        told = {"request_id": issued.request_id, "certificate_id": issued.certificate_id}
        return {"found": True, **told, "effects": _effects(done.effects)}

    return one, context.data.close


def _without(settings: Settings, data_map: Path | None) -> tuple[Erase, Callable[[], None]]:
    from ops_platform.gdpr.erasure import command_line
    from ops_platform.gdpr.erasure import context as erasure_context

    stores = erasure_context.open_stores(settings, data_map)

    def one(key: str) -> dict[str, Any] | None:
        effects = command_line.erase_without_tombstone(stores, key, _log)
        return None if effects is None else {"found": True, "effects": _effects(effects)}

    return one, stores.close


def _effects(effects: Any) -> list[dict[str, Any]]:
    found: list[Effect] = list(effects)
    return [asdict(one) for one in found]


def _log(line: str) -> None:
    click.echo(f"  {line}", err=True)


def _print(one: dict[str, Any]) -> None:
    if not one["found"]:
        click.echo(f"subject {one['subject']}: not there")
        return
    columns = ("store", "place", "role", "action", "before", "changed", "after")
    certificate = f", certificate {one['certificate_id']}" if "certificate_id" in one else ""
    output.print_table(
        f"subject {one['subject']}: erased{certificate}",
        columns,
        [tuple(effect[name] for name in columns) for effect in one["effects"] if effect["before"]],
    )
