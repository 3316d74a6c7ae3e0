"""``ops-platform gdpr hold``: legal holds on subjects, whose data cannot be erased meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click

from ops_platform.cli import arguments, output
from ops_platform.settings import load_settings


@click.group()
def hold() -> None:
    """Place and release legal holds: while one is active, no erasure of the subject begins.

    The basis is Art. 17(3)(e) GDPR.
    """


_by = click.option("--by", default=None, help="Who decided it; else the user of this system.")


@hold.command("place")
@click.option(
    "--subject-file",
    type=click.File(encoding="utf-8"),
    required=True,
    help="The key of one subject; - is stdin. Keys are personal: they do not belong on a command line.",
)
@click.option("--basis", required=True, help="Which claim, which law; without names.")
@_by
@click.option(
    "--data-map",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Else data_map.yaml in OPS_CONFIG_DIR.",
)
@arguments.kind
def place(subject_file: TextIO, basis: str, by: str | None, data_map: Path | None, kind: str | None) -> None:
    """Keep a subject's data for now; exit 1 when their erasure has begun already.

    \b
    Example:
      echo 0f5b2c… | ops-platform gdpr hold place --subject-file - --basis "claim 2026/17"
    """
    from ops_platform.clients import postgres
    from ops_platform.dr.verification import backup_expiry
    from ops_platform.errors import ConfigurationError
    from ops_platform.gdpr import schema
    from ops_platform.gdpr.subject import subject_key
    from ops_platform.gdpr.tombstones import legal_holds

    keys = [line.strip() for line in subject_file if line.strip()]
    if len(keys) != 1:
        raise ConfigurationError("--subject-file must hold one key: a hold is about one subject")
    settings = load_settings()
    loaded_map = arguments.load_map(settings, data_map, kind)
    stanza = backup_expiry.product_backup_term(settings).stanza
    with postgres.session(settings.require("product_database_url")) as product:
        subject = subject_key.parse(product, loaded_map, schema.read(product), stanza, keys[0])
    output.announce("ops database", settings.require("database_url"))
    with postgres.session(settings.require("database_url")) as ops:
        legal_hold = legal_holds.place(ops, subject, basis, by or arguments.user(), datetime.now(UTC))
    click.echo(f"legal hold {legal_hold.id}: no erasure of this subject begins until it is released")


@hold.command("list")
@output.as_json
def list_holds(json_output: bool) -> None:
    """List the active holds, without the subjects.

    \b
    Example:
      ops-platform gdpr hold list
    """
    from ops_platform.clients import postgres
    from ops_platform.gdpr.tombstones import legal_holds

    with postgres.session(load_settings().require("database_url")) as ops:
        holds = legal_holds.active(ops)
    if json_output:
        output.print_json(
            [
                {
                    "id": active.id,
                    "stanza": active.stanza,
                    "kind": active.kind,
                    "basis": active.basis,
                    "placed_by": active.placed_by,
                    "placed_at": active.placed_at,
                }
                for active in holds
            ]
        )
        return
    output.print_table(
        f"{len(holds)} active legal holds",
        ("id", "stanza", "kind", "basis", "placed by", "placed at"),
        [
            (
                str(active.id),
                active.stanza,
                active.kind,
                active.basis,
                active.placed_by,
                f"{active.placed_at:%Y-%m-%d %H:%M}",
            )
            for active in holds
        ],
    )


@hold.command("release")
@click.argument("number", type=int)
@_by
def release(number: int, by: str | None) -> None:
    """End a hold; from now on the subject can be erased. Exit 1 when there is no such active hold.

    \b
    Example:
      ops-platform gdpr hold release 3
    """
    from ops_platform.clients import postgres
    from ops_platform.gdpr.tombstones import legal_holds

    url = load_settings().require("database_url")
    output.announce("ops database", url)
    with postgres.session(url) as ops:
        legal_holds.release(ops, number, by or arguments.user(), datetime.now(UTC))
    click.echo(f"legal hold {number} is released")
