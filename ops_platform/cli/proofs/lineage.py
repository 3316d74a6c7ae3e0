"""``ops-platform gdpr lineage``: all that is on record of one request."""

from __future__ import annotations

from dataclasses import asdict

import click

from ops_platform.cli import output
from ops_platform.settings import load_settings


@click.command()
@click.argument("request")
@output.as_json
def lineage(request: str, json_output: bool) -> None:
    """Print what was done for a request, step by step, and the facts; exit 1 when nothing is known of it.

    The same as on the certificate, also while there is none yet. Nobody is named.

    \b
    Example:
      ops-platform gdpr lineage 0f5b2c0e-…
    """
    from ops_platform.clients import postgres
    from ops_platform.errors import CheckFailed
    from ops_platform.gdpr.erasure import processor_answers
    from ops_platform.gdpr.lineage import lineage_store

    with postgres.session(load_settings().require("database_url")) as ops:
        steps = lineage_store.steps(ops, request)
        effects = lineage_store.totals(lineage_store.lines(ops, request))
        answers = processor_answers.times(ops, request)
    if not steps:
        raise CheckFailed(f"nothing is on record of a request {request}: correct its id")
    if json_output:
        output.print_json(
            {
                "request_id": request,
                "steps": [asdict(step) for step in steps],
                "effects": [asdict(effect) for effect in effects],
                "answers": answers,
            }
        )
        return
    output.print_table(
        f"request {request}",
        ("step", "at", "map", "run"),
        [(step.step, output.moment(step.recorded_at), step.map_version, step.run_id) for step in steps],
    )
    fields = ("store", "place", "role", "action", "before", "changed", "after")
    output.print_table(
        "what was done", fields, [tuple(asdict(effect)[name] for name in fields) for effect in effects]
    )
    for step in steps:
        if step.step == "certificate":
            for name, value in step.details.items():
                click.echo(f"{name}: {value}")
    for processor, answered_at in answers.items():
        click.echo(f"{processor} answered {output.moment(answered_at)}")
