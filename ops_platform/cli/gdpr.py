"""``ops-platform gdpr``: data maps and exports, on any PostgreSQL database; development tokens."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from uuid import UUID

import click

from ops_platform.cli import arguments, gdpr_erase, output, proofs
from ops_platform.cli.gdpr_upkeep import legal_hold, processing_record, retention
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from ops_platform.gdpr.export import ExportFile
    from ops_platform.gdpr.requests import Language


@click.group()
def gdpr() -> None:
    """Serve data subjects' rights: show, export and erase what a database holds about them."""


@gdpr.group(name="map")
def map_() -> None:
    """Draft and check the data map: the class of every column, and what erasure and export do with it."""


@map_.command(epilog=arguments.DATABASE)
@arguments.data_map
@output.as_json
def check(data_map: Path | None, json_output: bool) -> None:
    """Compare the map with the database; exit 1 when anything is not classified or cannot be carried out.

    Notes name what Art. 15 GDPR asks a controller to say and the map does not, and kept values that are
    computed from erased ones. They refuse nothing.

    \b
    Example:
      PGSERVICE=shop ops-platform gdpr map check --data-map data_map.yaml
    """
    from ops_platform.backup.stanza import load_backups
    from ops_platform.clients import postgres
    from ops_platform.dr.verification import backup_expiry
    from ops_platform.gdpr import connections, schema
    from ops_platform.gdpr.connections import OpenDatabase
    from ops_platform.gdpr.data_map import parser
    from ops_platform.gdpr.reports import map_review
    from ops_platform.gdpr.tombstones import tombstone_store

    settings = load_settings()
    loaded_map = parser.load(data_map or settings.config_dir / "data_map.yaml")
    with (
        postgres.session(settings.product_database_url or "") as connection,
        connections.connected(connections.of_settings(settings, loaded_map)) as others,
    ):
        home = OpenDatabase(loaded_map, connection, schema.read(connection))
        databases = connections.read(home, others)
        findings, notes = map_review.findings(databases), map_review.notes(databases)
    if loaded_map.databases and settings.database_url:
        stanza = backup_expiry.product_stanza(settings, load_backups(settings)).cluster
        with postgres.session(settings.database_url) as ops:
            findings += map_review.erased_kinds(loaded_map, tombstone_store.kinds(ops, stanza))
    if json_output:
        said = {
            name: [{"where": one.where, "code": one.code, "said": one.message} for one in some]
            for name, some in (("findings", findings), ("notes", notes))
        }
        output.print_json({"version": loaded_map.version, **said})
    elif findings:
        output.print_table(
            f"{len(findings)} findings",
            ("where", "what is wrong, and what to do", "code"),
            [(finding.where, finding.message, finding.code) for finding in findings],
        )
    else:
        for part in loaded_map.everywhere:
            covered = f"{len(part.tables)} tables and {len(part.views)} views are covered"
            click.echo(f"{part.place(covered)} (map {loaded_map.version})")
    if notes and not json_output:
        output.print_table(
            f"{len(notes)} notes, which refuse nothing",
            ("where", "what", "code"),
            [(note.where, note.message, note.code) for note in notes],
        )
    if findings:
        output.end(1)


@map_.command(epilog=arguments.DATABASE)
@click.option(
    "--subject",
    "subjects",
    required=True,
    multiple=True,
    help="The table of the data subjects: users, or schema.users; given again for each further kind.",
)
@click.option(
    "--key",
    multiple=True,
    default=("id",),
    show_default=True,
    help="Its key; given again for each column of a key of several.",
)
@click.option(
    "--email", default="email", show_default=True, help="Its column with the e-mail address, or TABLE.COLUMN."
)
@click.option(
    "--database",
    nargs=2,
    metavar="NAME VARIABLE",
    help="Draft the part about another database than the subjects': its name in the map, and the environment "
    "variable with its URL.",
)
@click.option("--without-values", is_flag=True, help="By names and types only: no rows are read.")
def draft(
    subjects: tuple[str, ...],
    key: tuple[str, ...],
    email: str,
    database: tuple[str, str] | None,
    without_values: bool,
) -> None:
    """Propose a map from the catalogue, as YAML on stdout. You must complete it: 'map check' says where.

    Where no foreign key tells, it goes by names, types and samples of values, each read in at most 2 seconds,
    and says in 'undecided' what it has guessed, and why. Columns that it may not read are named on stderr.

    \b
    Example:
      PGSERVICE=shop ops-platform gdpr map draft --subject customers > data_map.yaml
    """
    from contextlib import closing

    from ops_platform.clients import postgres
    from ops_platform.gdpr import connections, schema
    from ops_platform.gdpr.data_map import Database
    from ops_platform.gdpr.map_check import draft as drafting
    from ops_platform.gdpr.schema import Name

    try:
        tables = [Name.parse(subject) for subject in subjects]
    except ValueError as error:
        raise ConfigurationError(f"--subject: {error}") from None
    if database and len(tables) > 1:
        raise ConfigurationError("--database goes with one --subject: several kinds need a map each")
    settings = load_settings()
    with postgres.session(settings.product_database_url or "") as connection:
        look, home = drafting.ValueLook(None if without_values else connection), schema.read(connection)
        if not database:
            text = drafting.draft_of_kinds(home, tables, key, email, look)
        else:
            other = Database(*database)
            with closing(connections.connect(settings, other)) as opened:
                if not without_values and tables[0] in home.relations:
                    subject = drafting.Subjects(connection, home.relations[tables[0]])
                    look = drafting.ValueLook(opened, subjects=subject)
                text = drafting.draft_of_database(
                    schema.read(opened), home, tables[0], key, email, other, look
                )
    click.echo(text, nl=False)
    for column, reason in sorted(look.unseen.items()):
        click.echo(f"no values of {column} were compared: {reason}", err=True)


@gdpr.command(epilog=arguments.DATABASE)
@arguments.data_map
@arguments.kind
@arguments.subject_file
@click.option(
    "--out",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Directory for the archives: subject-1.zip and so on, readable for you alone.",
)
@click.option(
    "--language",
    type=click.Choice(["en", "fr"]),
    default="en",
    show_default=True,
    help="Language of the archives' index page.",
)
@click.option("--without-objects", is_flag=True, help="Rows only: the map's buckets are not asked.")
@output.as_json
def export(
    data_map: Path | None,
    kind: str | None,
    subject_file: TextIO,
    directory: Path,
    language: Language,
    without_objects: bool,
    json_output: bool,
) -> None:
    """Export all data of subjects, each as a ZIP archive of JSON. Exit 1 when a subject does not exist.

    The data map says which data belongs to a subject. Subjects are numbered in the order of the file, and
    never named.

    \b
    Example:
      echo 0f5b2c… | ops-platform gdpr export --subject-file - --out exports
    """
    from dataclasses import replace
    from datetime import UTC, datetime
    from functools import partial

    from ops_platform.clients import object_store, postgres
    from ops_platform.gdpr import connections
    from ops_platform.gdpr.export import ExportRequest, NoSuchSubject, to_file

    keys = arguments.subject_keys(subject_file)
    settings = load_settings()
    loaded_map = arguments.load_map(settings, data_map, kind)
    if without_objects:
        loaded_map = replace(loaded_map, objects=())
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make the directory {directory}: {error.strerror}") from None
    written: list[to_file.ExportFile | None] = []
    try:
        with (
            postgres.session(settings.product_database_url or "") as connection,
            connections.connected(connections.of_settings(settings, loaded_map)) as others,
        ):
            connection.commit()
            for number, key in enumerate(keys, 1):
                request = ExportRequest(key, language, datetime.now(UTC))
                file = directory / f"subject-{number}.zip"
                try:
                    media = partial(object_store.from_settings, settings)
                    written.append(to_file.write(connection, loaded_map, request, file, media, others))
                except NoSuchSubject:
                    written.append(None)
    finally:
        # Also when a later export fails: the archives before it are complete.
        if json_output or written:
            _print_exports(written, json_output)
    if None in written:
        output.end(1)


def _print_exports(written: list[ExportFile | None], json_output: bool) -> None:
    if json_output:
        output.print_json(
            [
                {"subject": number, "found": False}
                if archive is None
                else {"subject": number, "found": True, **asdict(archive), "file": str(archive.file)}
                for number, archive in enumerate(written, 1)
            ]
        )
        return
    output.print_table(
        "",
        ("subject", "archive", "size", "rows", "files"),
        [
            (number, "not there", None, None, None)
            if archive is None
            else (
                number,
                archive.file,
                output.size(archive.bytes),
                *(
                    sum(effect.changed for effect in archive.effects if effect.store == store)
                    for store in ("postgresql", "s3")
                ),
            )
            for number, archive in enumerate(written, 1)
        ],
    )


@gdpr.command()
@click.option("--subject", required=True, type=click.UUID, help="Key of the data subject, a UUID.")
@click.option(
    "--seconds", default=3600, show_default=True, type=click.IntRange(1, 86_400), help="Its lifetime."
)
def token(subject: UUID, seconds: int) -> None:
    """Sign a bearer token for the embedded stack's API: a stand-in for signing in to the product.

    \b
    Example:
      ops-platform gdpr token --subject 0191b0c8-5a4e-7c1f-9e2d-1f6b7a3c0d42
    """
    from ops_platform.local.servers import development_identity

    click.echo(development_identity.token(load_settings(), subject, seconds))


gdpr.add_command(legal_hold.hold)
gdpr.add_command(processing_record.record)
gdpr.add_command(retention.retention)
gdpr.add_command(gdpr_erase.erase)
gdpr.add_command(gdpr_erase.preview)
gdpr.add_command(proofs.certificate)
gdpr.add_command(proofs.verify_certificate)
gdpr.add_command(proofs.lineage)
gdpr.add_command(proofs.processor_answered)
map_.add_command(proofs.show)
COMMANDS = (gdpr,)
