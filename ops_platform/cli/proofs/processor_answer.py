"""``ops-platform gdpr processor-answered``: the answer of a processor who was told of an erasure."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ops_platform.cli import arguments
from ops_platform.settings import load_settings


@click.command(name="processor-answered")
@click.argument("request")
@click.argument("processor")
@click.option("--at", default=None, help="When they answered, as 2026-11-30T12:00:00Z; else now.")
@click.option("--by", default=None, help="Who records it; else the user of this system.")
def processor_answered(request: str, processor: str, at: str | None, by: str | None) -> None:
    """Record that a processor has erased the subject of a request, too. The first answer stays.

    PROCESSOR is their name in the data map. The certificate states answers that were recorded before it was
    issued, 'gdpr lineage' all of them.

    \b
    Example:
      ops-platform gdpr processor-answered 0f5b2c0e-… "Newsletter service" --at 2026-11-30T12:00:00Z
    """
    from ops_platform.clients import postgres
    from ops_platform.gdpr.erasure import processor_answers

    now = datetime.now(UTC)
    answered_at = arguments.moment(at) if at else now
    with postgres.session(load_settings().require("database_url")) as ops:
        new = processor_answers.record(ops, request, processor, answered_at, by or arguments.user(), now)
    click.echo("recorded" if new else "there is an answer of theirs already, which stays")
