"""``ops-platform gdpr map show``: a data map as it was used, by its hash."""

from __future__ import annotations

import click

from ops_platform.cli import output
from ops_platform.settings import load_settings


@click.command()
@click.argument("hash_", metavar="HASH")
@output.as_json
def show(hash_: str, json_output: bool) -> None:
    """Print the data map that a certificate names, from the ops database; exit 1 when it is not there.

    HASH is map_sha256 or map_version of the certificate. The hash is checked. As YAML it can be compared
    with data_map.yaml, whose comments are not part of it; --json prints the exact text that was hashed.

    \b
    Example:
      ops-platform gdpr map show 3f2a9c0e1b7d4a58 > map_of_then.yaml
    """
    import yaml

    from ops_platform.clients import postgres
    from ops_platform.gdpr.certificates import map_store

    with postgres.session(load_settings().require("database_url")) as ops:
        stored = map_store.find(ops, hash_)
    if json_output:
        click.echo(stored.document, nl=False)
        return
    click.echo(f"# map {stored.sha256}, in use since {output.moment(stored.stored_at)}")
    click.echo(yaml.safe_dump(stored.value(), sort_keys=False, allow_unicode=True, width=110), nl=False)
