"""``ops-platform gdpr``: data maps and exports, on any PostgreSQL database; development tokens."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from uuid import UUID

import click

from ops_platform.cli import arguments, gdpr_erase, legal_hold, output
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from ops_platform.gdpr.export import ExportFile
    from ops_platform.gdpr.requests import Language

DATABASE = (
    "The database is OPS_PRODUCT_DATABASE_URL, or what libpq's own variables and service file say: "
    "PGSERVICE, PGHOST."
)


@click.group()
def gdpr() -> None:
    """Data subjects' rights: what a database holds about them, and what becomes of it."""


@gdpr.group(name="map")
def map_() -> None:
    """The data map: every column classified, and what erasure and export do with it."""


@map_.command(epilog=DATABASE)
@arguments.data_map
@output.as_json
def check(data_map: Path | None, json_output: bool) -> None:
    """Compare the map with the database; exit 1 when anything is not classified or cannot be carried out.

    \b
    Example:
      PGSERVICE=shop ops-platform gdpr map check --data-map data_map.yaml
    """
    from ops_platform.clients import postgres
    from ops_platform.gdpr import map_check
    from ops_platform.gdpr.data_map import parser

    settings = load_settings()
    known = parser.load(data_map or settings.config_dir / "data_map.yaml")
    with postgres.session(settings.product_database_url or "") as connection:
        found = map_check.check(connection, known)
    if json_output:
        output.print_json(
            {
                "version": known.version,
                "findings": [{"where": one.where, "code": one.code, "said": one.message} for one in found],
            }
        )
    elif found:
        output.print_table(
            f"{len(found)} findings",
            ("where", "what is wrong, and what to do", "code"),
            [(one.where, one.message, one.code) for one in found],
        )
    else:
        click.echo(
            f"{len(known.tables)} tables and {len(known.views)} views are covered (map {known.version})"
        )
    if found:
        output.end(1)


@map_.command(epilog=DATABASE)
@click.option("--subject", required=True, help="The table of the data subjects: users, or schema.users.")
@click.option("--key", default="id", show_default=True, help="Its key.")
@click.option("--email", default="email", show_default=True, help="Its column with the e-mail address.")
def draft(subject: str, key: str, email: str) -> None:
    """Propose a map from the catalogue, as YAML on stdout. People must complete it: 'map check' says where.

    \b
    Example:
      PGSERVICE=shop ops-platform gdpr map draft --subject customers > data_map.yaml
    """
    from ops_platform.clients import postgres
    from ops_platform.gdpr import schema
    from ops_platform.gdpr.map_check import draft as drafting
    from ops_platform.gdpr.schema import Name

    try:
        table = Name.parse(subject)
    except ValueError as error:
        raise ConfigurationError(f"--subject: {error}") from None
    with postgres.session(load_settings().product_database_url or "") as connection:
        found = schema.read(connection)
    click.echo(drafting.draft(found, table, key, email), nl=False)


@gdpr.command(epilog=DATABASE)
@arguments.data_map
@arguments.subject_file
@output.as_json
def preview(data_map: Path | None, subject_file: TextIO, json_output: bool) -> None:
    """What an erasure would do, in numbers; nothing is changed. Exit 1 when a subject is not there.

    Subjects are numbered as they are given, and never named.

    \b
    Example:
      echo 0f5b2c… | ops-platform gdpr preview --subject-file -
    """
    from ops_platform.clients import postgres
    from ops_platform.errors import CheckFailed
    from ops_platform.gdpr import map_check, schema
    from ops_platform.gdpr.data_map import parser
    from ops_platform.gdpr.row_erasure import preview as previewing
    from ops_platform.gdpr.subject import row_predicates

    keys = arguments.subject_keys(subject_file)
    settings = load_settings()
    known = parser.load(data_map or settings.config_dir / "data_map.yaml")
    shown = []
    with postgres.session(settings.product_database_url or "") as connection:
        if map_check.check(connection, known):
            raise CheckFailed("the map does not fit the database: 'ops-platform gdpr map check' says where")
        found = schema.read(connection)
        for number, key in enumerate(keys, 1):
            who = row_predicates.identity(connection, known, found, key)
            shares = [] if who is None else previewing.preview(connection, known, found, who)
            shown.append((number, who is not None, shares))
    if json_output:
        output.print_json(
            [
                {"subject": number, "found": there, "shares": [asdict(one) for one in shares]}
                for number, there, shares in shown
            ]
        )
    else:
        for number, there, shares in shown:
            title = (
                f"subject {number}: {sum(one.rows for one in shares)} rows"
                if there
                else f"subject {number}: not there"
            )
            output.print_table(
                title,
                ("table", "role", "rows", "erasure"),
                [(one.table, one.role, one.rows, one.erasure) for one in shares if one.rows],
            )
    if not all(there for _, there, _ in shown):
        output.end(1)


@gdpr.command(name="verify-certificate")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="PEM of the issuer's public key; else OPS_GDPR_PUBLIC_KEY.",
)
@output.as_json
def verify_certificate(file: Path, public_key: Path | None, json_output: bool) -> None:
    """Check who signed an erasure certificate and that nothing of it was changed; exit 1 when not.

    Needs neither a database nor the platform: the file and the issuer's public key.

    \b
    Example:
      ops-platform gdpr verify-certificate certificate.json --public-key issuer.pem
    """
    from ops_platform.audit import PublicKeys
    from ops_platform.errors import ConfigurationError
    from ops_platform.gdpr import certificates

    try:
        text = file.read_bytes()
        pem = None if public_key is None else public_key.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"cannot read {file} or the public key: correct the path") from None
    keys = certificates.public_keys(load_settings()) if pem is None else PublicKeys.parse(pem, "--public-key")
    said = certificates.verify(text, keys)
    if json_output:
        output.print_json(said)
        return
    click.echo(
        f"genuine: certificate {said['certificate_id']} of request {said['request_id']}, "
        f"issued {said['issued_at']}"
    )
    output.print_table(
        "what was done",
        ("store", "place", "role", "action", "before", "changed", "after"),
        [tuple(str(one[name]) for name in certificates.EFFECT_FIELDS) for one in said["effects"]],
    )
    for one in said["kept_by_law"]:
        click.echo(f"kept by law: {one['rows']} rows of {one['table']}: {one['basis']}; {one['term']}")
    click.echo(f"the last backup that can hold the data expires {said['last_backup_expires_at']}")


@gdpr.command(epilog=DATABASE)
@arguments.data_map
@arguments.subject_file
@click.option(
    "--out",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the archives go: subject-1.zip and so on, readable for you alone.",
)
@click.option(
    "--language",
    type=click.Choice(["en", "fr"]),
    default="en",
    show_default=True,
    help="Of the page in them.",
)
@click.option("--without-objects", is_flag=True, help="Rows only: the map's buckets are not asked.")
@output.as_json
def export(
    data_map: Path | None,
    subject_file: TextIO,
    directory: Path,
    language: Language,
    without_objects: bool,
    json_output: bool,
) -> None:
    """Everything that the map shows of a subject, as a ZIP archive of JSON. Exit 1 when one is not there.

    Subjects are numbered as they are given, and never named.

    \b
    Example:
      echo 0f5b2c… | ops-platform gdpr export --subject-file - --out exports
    """
    from dataclasses import replace
    from datetime import UTC, datetime
    from functools import partial

    from ops_platform.clients import object_store, postgres
    from ops_platform.gdpr.data_map import parser
    from ops_platform.gdpr.export import ExportRequest, NoSuchSubject, to_file

    keys = arguments.subject_keys(subject_file)
    settings = load_settings()
    known = parser.load(data_map or settings.config_dir / "data_map.yaml")
    if without_objects:
        known = replace(known, objects=())
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make the directory {directory}: {error.strerror}") from None
    written: list[to_file.ExportFile | None] = []
    try:
        with postgres.session(settings.product_database_url or "") as connection:
            connection.commit()
            for number, key in enumerate(keys, 1):
                request = ExportRequest(key, language, datetime.now(UTC))
                file = directory / f"subject-{number}.zip"
                try:
                    media = partial(object_store.from_settings, settings)
                    written.append(to_file.write(connection, known, request, file, media))
                except NoSuchSubject:
                    written.append(None)
    finally:
        # Also when a later one fails: the archives before it are there.
        if json_output or written:
            _print_exports(written, json_output)
    if None in written:
        output.end(1)


def _print_exports(written: list[ExportFile | None], json_output: bool) -> None:
    if json_output:
        output.print_json(
            [
                {"subject": number, "found": False}
                if one is None
                else {"subject": number, "found": True, **asdict(one), "file": str(one.file)}
                for number, one in enumerate(written, 1)
            ]
        )
        return
    output.print_table(
        "",
        ("subject", "archive", "size", "rows", "files"),
        [
            (number, "not there", None, None, None)
            if one is None
            else (
                number,
                one.file,
                output.size(one.bytes),
                *(
                    sum(each.changed for each in one.effects if each.store == store)
                    for store in ("postgresql", "s3")
                ),
            )
            for number, one in enumerate(written, 1)
        ],
    )


@gdpr.command()
@click.option("--subject", required=True, type=click.UUID, help="Key of the data subject, a UUID.")
@click.option(
    "--seconds", default=3600, show_default=True, type=click.IntRange(1, 86_400), help="How long it lasts."
)
def token(subject: UUID, seconds: int) -> None:
    """Sign a bearer token for the embedded stack's API: a stand-in for signing in to the product."""
    from ops_platform.local.servers import development_identity

    click.echo(development_identity.token(load_settings(), subject, seconds))


gdpr.add_command(legal_hold.hold)

gdpr.add_command(gdpr_erase.erase)
COMMANDS = (gdpr,)
