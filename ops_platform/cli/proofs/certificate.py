"""``ops-platform gdpr certificate`` and ``verify-certificate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops_platform.cli import output
from ops_platform.errors import ConfigurationError
from ops_platform.settings import load_settings

if TYPE_CHECKING:
    from ops_platform.gdpr.requests import Language


@click.command()
@click.argument("request")
@click.option("--html", is_flag=True, help="Print it as a page to read, instead of the file to check.")
@click.option(
    "--language", type=click.Choice(["en", "fr"]), default="en", show_default=True, help="Of the page."
)
def certificate(request: str, html: bool, language: Language) -> None:
    """Print the certificate of an erasure, by the id of its request, as a file; exit 1 when there is none.

    From the ops database and the ledger bucket, which must agree. The signature is checked.

    \b
    Example:
      ops-platform gdpr certificate 0f5b2c0e-… > certificate.json
    """
    from ops_platform.clients import object_store, postgres
    from ops_platform.gdpr import certificates

    settings = load_settings()
    keys = certificates.public_keys(settings)
    identity = settings.s3.identities.get("ledger")
    ledger = object_store.from_settings(settings, "ledger") if identity and identity.bucket else None
    with postgres.session(settings.require("database_url")) as ops:
        issued = certificates.retrieve(ops, ledger, keys, request)
        token = certificates.trusted_time.find(ops, request)
    click.echo(certificates.html_page.page(issued, language) if html else issued.as_file(token), nl=False)


@click.command(name="verify-certificate")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="PEM of the issuer's public key; else OPS_GDPR_PUBLIC_KEY.",
)
@click.option(
    "--data-map",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="The map to compare with the one that it names: a data_map.yaml, or what 'gdpr map show' prints.",
)
@click.option(
    "--timestamp-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="PEM of the roots of the time stamping authority; else OPS_GDPR_TIMESTAMP_CA_FILE, or the system's.",
)
@output.as_json
def verify_certificate(
    file: Path, public_key: Path | None, data_map: Path | None, timestamp_ca: Path | None, json_output: bool
) -> None:
    """Check an erasure certificate line by line; exit 1 when any line fails, which is named.

    Needs only the file and the issuer's public key, neither a database nor the platform. Certificates of
    every earlier version are good.

    \b
    Example:
      ops-platform gdpr verify-certificate certificate.json --public-key issuer.pem
    """
    from ops_platform.audit import PublicKeys
    from ops_platform.clients import timestamp_authority
    from ops_platform.gdpr import certificates
    from ops_platform.gdpr.certificates import line_checks
    from ops_platform.gdpr.data_map import parser

    try:
        text = file.read_bytes()
        pem = None if public_key is None else public_key.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"cannot read {file} or the public key: correct the path") from None
    settings = load_settings()
    keys = certificates.public_keys(settings) if pem is None else PublicKeys.parse(pem, "--public-key")
    roots = timestamp_ca.absolute() if timestamp_ca else timestamp_authority.ca_file(settings)
    lines = line_checks.check(text, keys, parser.document_of(data_map) if data_map else None, roots)
    failed = [line for line in lines if not line.passed]
    if not json_output:
        output.print_table(
            "what was checked",
            ("line", "holds", "found"),
            [(line.name, "yes" if line.passed else "NO", line.text) for line in lines],
        )
    if failed:
        raise certificates.NotGenuine(
            "; ".join(f"{line.name}: {line.text}" for line in failed) if len(failed) > 1 else failed[0].text
        )
    document = certificates.verify(text, keys)
    if json_output:
        output.print_json(document)
    else:
        _print(document)


def _print(document: dict[str, Any]) -> None:
    click.echo(
        f"genuine: certificate {document['certificate_id']} of request {document['request_id']}, "
        f"issued {document['issued_at']}"
    )
    for name, text in _facts(document):
        click.echo(f"{name}: {text}")
    fields = ("store", "place", "role", "action", "before", "changed", "after")
    output.print_table(
        "what was done",
        fields,
        [tuple(str(effect[name]) for name in fields) for effect in document["effects"]],
    )
    for kept in document["kept_by_law"]:
        click.echo(f"kept by law: {kept['rows']} rows of {kept['table']}: {kept['basis']}; {kept['term']}")
    for place in document.get("accepted", ()):
        click.echo(f"accepted: named in {place['rows']} rows of {place['place']}: {place['because']}")
    click.echo(f"the last backup that can hold the data expires {document['last_backup_expires_at']}")


def _of_several(database: dict[str, Any]) -> str:
    """Word what the certificate says of one of several databases."""
    if "name" not in database:
        return ""
    at = database["last_backup_expires_at"]
    return f", {database['name']} in the map; its last backup expires {at or 'at a time that is not known'}"


def _facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Word what the certificate says beside its effects; what an old one does not say is left out."""
    said = [
        (name, output.moment(document[f"{name}_at"]))
        for name in ("received", "confirmed", "due", "done")
        if document.get(f"{name}_at")
    ]
    said += [
        (
            "database",
            f"{database['database']} of {database['stanza'] or 'no stanza'}, cluster "
            f"{database['system_identifier']}, PostgreSQL {database['server_version']}"
            + _of_several(database),
        )
        for database in document.get("databases", ())
    ]
    if searched := document.get("searched"):
        columns = sum(len(names) for names in searched["columns"].values())
        names = ", ".join(searched["identifiers"])
        said.append(
            ("searched", f"{columns} columns of {len(searched['columns'])} tables for {names or 'nothing'}")
        )
    said += [
        ("not searched for", f"{name}: {reason}") for name, reason in document.get("not_searched", {}).items()
    ]
    said += [
        (
            "processor",
            f"{processor['name']}, told {output.moment(processor['told_at'])}, answered "
            f"{output.moment(processor['acknowledged_at'])}",
        )
        for processor in document.get("processors", ())
    ]
    said.append(("map", document.get("map_sha256") or document["map_version"]))
    return said
