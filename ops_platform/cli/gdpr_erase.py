"""``ops-platform gdpr erase`` and ``preview``: subjects erased by hand, with or without an ops database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ops_platform.cli import arguments, output
from ops_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from ops_platform.gdpr.data_map import DataMap
    from ops_platform.gdpr.erasure.joint_erasure import Ended
    from ops_platform.gdpr.erasure.pipeline import Outcome
    from ops_platform.gdpr.lineage import Effect
    from ops_platform.gdpr.row_erasure.foresight import Outlook

EraseEach = Callable[[Sequence[str]], "Iterator[tuple[Ended, dict[str, Any]]]"]
"""Erases the subjects of keys: how each ended, and what more there is to say of it."""


@click.command()
@arguments.data_map
@arguments.kind
@arguments.subject_file
@click.option(
    "--no-tombstone",
    is_flag=True,
    help="For a database without an ops database: nothing records the erasure, and a restored backup "
    "brings the subject back.",
)
@output.as_json
def erase(
    data_map: Path | None, kind: str | None, subject_file: TextIO, no_tombstone: bool, json_output: bool
) -> None:
    """Erase subjects for good, as the data map says. Exit 1 when one does not exist; dry run: 'preview'.

    Needs the ops database, OPS_GDPR_ENCRYPTION_KEY and OPS_GDPR_SIGNING_KEY, and issues a certificate for
    each subject. Run the command again after a failure or a kill: it continues. Subjects are numbered in the
    order of the file, and never named; one that is refused does not stop the others. The product database is
    OPS_PRODUCT_ERASER_DATABASE_URL, else OPS_PRODUCT_DATABASE_URL, else that of libpq's own variables, which
    come before those of a running embedded stack; it is named on stderr before anything is changed. Prepare
    it with 'ops-platform migrate'.

    \b
    Example:
      echo 0f5b2c… | ops-platform gdpr erase --subject-file -
    """
    from ops_platform.gdpr import connections
    from ops_platform.gdpr.erasure import context as erasure_context

    keys, settings = arguments.subject_keys(subject_file), load_settings()
    prepare = _without_tombstone if no_tombstone else _with_tombstone
    loaded_map = arguments.load_map(settings, data_map, kind)
    erase_each, close = prepare(settings, loaded_map)
    results: list[dict[str, Any]] = []
    failed: dict[int, Ended] = {}
    try:
        output.announce("product database", erasure_context.product_url(settings))
        for name, connect in connections.of_settings(settings, loaded_map).items():
            output.announce_connected(f"database {name}", connect)
        if not no_tombstone:
            output.announce("ops database", settings.require("database_url"))
        for number, (ended, said) in enumerate(erase_each(keys), 1):
            if ended.error is not None:
                failed[number] = ended
            else:
                results.append({"subject": number, "found": ended.result is not None, **said})
    finally:
        # Also when another erasure fails: these subjects are erased, and have their certificates.
        close()
        if json_output:
            output.print_json(results)
        else:
            for result in results:
                _print(result)
    _raise(failed, len(keys))
    if not all(result["found"] for result in results):
        output.end(1)


def _raise(failed: Mapping[int, Ended], subjects: int) -> None:
    """Raise what has ended erasures, if anything: one error as it is, several in one line."""
    from ops_platform.audit import ledger
    from ops_platform.errors import CheckFailed

    reasons = []
    for number, ended in failed.items():
        if ended.error is not None:
            if len(failed) == 1:
                raise ended.error
            reasons.append(f"subject {number}: {ledger.reason(ended.error)}")
    if reasons:
        raise CheckFailed(f"{len(reasons)} of {subjects} subjects were not erased: {'; '.join(reasons)}")


def _with_tombstone(settings: Settings, data_map: DataMap) -> tuple[EraseEach, Callable[[], None]]:
    from ops_platform.dr.verification import backup_expiry
    from ops_platform.gdpr.erasure import command_line
    from ops_platform.gdpr.erasure import context as erasure_context

    url = settings.require("database_url")
    term = backup_expiry.product_backup_term(settings, data_map)
    servers = backup_expiry.stanza_server(settings)
    context = erasure_context.open_context(settings, term, data_map, servers)

    def erase_each(keys: Sequence[str]) -> Iterator[tuple[Ended, dict[str, Any]]]:
        for ended in command_line.erase_each(url, context, keys, _Log()):
            yield ended, {} if ended.result is None else _certified(ended.result)

    return erase_each, context.data.close


def _certified(done: Outcome) -> dict[str, Any]:
    certificate = done.certificate
    ids = {"request_id": certificate.request_id, "certificate_id": certificate.certificate_id}
    document, names = json.loads(certificate.document), ("others_told_apart", "shared_with_others")
    about_others = {name: document[name] for name in names if name in document}
    return {**ids, "effects": _effects(done.effects), **about_others}


def _without_tombstone(settings: Settings, data_map: DataMap) -> tuple[EraseEach, Callable[[], None]]:
    from ops_platform.gdpr.erasure import command_line
    from ops_platform.gdpr.erasure import context as erasure_context
    from ops_platform.gdpr.tombstones import encryption

    stores, keys = erasure_context.open_stores(settings, data_map), encryption.optional_keys(settings)

    def erase_each(subjects: Sequence[str]) -> Iterator[tuple[Ended, dict[str, Any]]]:
        about_others: dict[int, dict[str, Any]] = {}

        def tell(number: int) -> Callable[[dict[str, Any]], None]:
            return about_others.setdefault(number, {}).update

        erased = command_line.erase_each_without_tombstone(stores, subjects, _Log(), keys, tell)
        for number, ended in enumerate(erased, 1):
            found = ended.result is not None
            yield ended, {"effects": _effects(ended.result), **about_others[number]} if found else {}

    return erase_each, stores.close


def _effects(effects: Iterable[Effect]) -> list[dict[str, Any]]:
    return [asdict(effect) for effect in effects]


class _Log:
    """Logs on stderr, by the numbers of subjects: a heading stands where another subject's lines begin."""

    def __init__(self) -> None:
        self._number: int | None = None

    def __call__(self, number: int) -> Callable[[str], None]:
        def log(line: str) -> None:
            if number != self._number:
                click.echo(f"subject {number}", err=True)
                self._number = number
            click.echo(f"  {line}", err=True)

        return log


def _print(result: dict[str, Any]) -> None:
    if not result["found"]:
        click.echo(f"subject {result['subject']}: not there")
        return
    columns = ("store", "place", "role", "action", "before", "changed", "after")
    certificate = f", certificate {result['certificate_id']}" if "certificate_id" in result else ""
    output.print_table(
        f"subject {result['subject']}: erased{certificate}",
        columns,
        [tuple(effect[name] for name in columns) for effect in result["effects"] if effect["before"]],
    )


@click.command(epilog=arguments.DATABASE)
@arguments.data_map
@arguments.kind
@arguments.subject_file
@output.as_json
def preview(data_map: Path | None, kind: str | None, subject_file: TextIO, json_output: bool) -> None:
    """Count what an erasure would do, and search for what it would leave; nothing is changed.

    Exit 1 when a subject does not exist, or when an erasure would be refused: because no rule of the map
    covers a place in which the subject is found, or because rows are somebody else's, too, and the map does
    not say what becomes of them. Subjects are numbered in the order of the file, and never named.

    \b
    Example:
      echo 0f5b2c… | ops-platform gdpr preview --subject-file -
    """
    from ops_platform.clients import postgres
    from ops_platform.errors import CheckFailed
    from ops_platform.gdpr import connections, map_check, schema
    from ops_platform.gdpr.row_erasure.foresight import outlook

    keys = arguments.subject_keys(subject_file)
    settings = load_settings()
    loaded_map = arguments.load_map(settings, data_map, kind)
    with (
        postgres.session(settings.product_database_url or "", autocommit=True) as connection,
        connections.connected(connections.of_settings(settings, loaded_map, autocommit=True)) as others,
    ):
        home = connections.OpenDatabase(loaded_map, connection, schema.read(connection))
        databases = connections.read(home, others)
        for database in databases:
            with database.named(), database.connection.transaction():
                if map_check.check_database(database):
                    raise CheckFailed(
                        "the map does not fit the database: 'ops-platform gdpr map check' says where"
                    )
        previews = outlook.of_keys(databases, keys)
    if json_output:
        output.print_json(
            [
                {"subject": number, "found": one is not None, **(asdict(one) if one else {"shares": []})}
                for number, one in enumerate(previews, 1)
            ]
        )
    else:
        for number, one in enumerate(previews, 1):
            _print_preview(number, one)
    if not all(one is not None and not one.refused for one in previews):
        output.end(1)


def _print_preview(number: int, preview: Outlook | None) -> None:
    if preview is None:
        click.echo(f"subject {number}: not there")
        return
    output.print_table(
        f"subject {number}: {sum(share.rows for share in preview.shares)} rows",
        ("table", "role", "rows", "erasure"),
        [(share.table, share.role, share.rows, share.erasure) for share in preview.shares if share.rows],
    )
    if preview.uncovered:
        output.print_table(
            f"subject {number}: nothing would be erased, for no rule removes them from",
            ("column", "rows", "a rule that would"),
            [(f"{place.table}.{place.column}", place.rows, place.rule) for place in preview.uncovered],
        )
    if preview.shared:
        output.print_table(
            f"subject {number}: rows that are somebody else's, too",
            ("table", "role", "rows", "reached by", "becomes"),
            [
                (
                    rows.table,
                    rows.role,
                    rows.rows,
                    ", ".join(f"{count} {way}" for way, count in rows.reached_by.items()),
                    rows.becomes
                    if rows.becomes and not rows.refused
                    else "refused: kept by law"
                    if rows.by_law
                    else "refused: say in the role: shared",
                )
                for rows in preview.shared
            ],
        )
    if preview.accepted:
        output.print_table(
            f"subject {number}: stays named where the map accepts it",
            ("column", "rows", "because"),
            [(place.place, place.rows, place.because) for place in preview.accepted],
        )
    if preview.not_searched:
        output.print_table(
            f"subject {number}: searched for only where the map finds people by it",
            ("identifier", "because it is"),
            list(preview.not_searched.items()),
        )
