"""``ops-platform gdpr record``: the record of processing activities, from the data map."""

from __future__ import annotations

from pathlib import Path

import click

from ops_platform.cli import arguments, output
from ops_platform.settings import load_settings


@click.command()
@arguments.data_map
@click.option(
    "--format",
    "layout",
    type=click.Choice(["md", "json"]),
    default="md",
    show_default=True,
    help="Markdown for people, or JSON for programs.",
)
def record(data_map: Path | None, layout: str) -> None:
    """Print the record of processing activities (Art. 30 GDPR), from the data map alone.

    It names what the map does not tell. No database is asked.

    \b
    Example:
      ops-platform gdpr record > record-of-processing.md
    """
    from ops_platform.gdpr.data_map import parser
    from ops_platform.gdpr.transparency import processing_record

    loaded_map = parser.load(data_map or load_settings().config_dir / "data_map.yaml")
    composed = processing_record.compose(loaded_map)
    if layout == "json":
        output.print_json(composed)
    else:
        click.echo(processing_record.as_markdown(composed), nl=False)
