"""The assets of data subjects' rights: the result of each request, without the person.

External assets: jobs report what was done; nothing here computes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from ops_platform import markdown
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.gdpr.lineage import Effect, Line
from ops_platform.gdpr.requests import RequestType

if TYPE_CHECKING:
    from ops_platform.gdpr.erasure.pipeline import Outcome

GROUP = "gdpr"
ERASURES = dg.AssetKey(["gdpr", "erasures"])
DATA_MAP = dg.AssetKey(["gdpr", "data_map"])
EXPORTS = dg.AssetKey(["gdpr", "exports"])
KEYS: dict[RequestType, dg.AssetKey] = {"erasure": ERASURES, "export": EXPORTS}


def gdpr_assets() -> Sequence[dg.AssetSpec]:
    """Declare the assets gdpr/erasures and gdpr/exports, and the map that both rest on."""
    return [
        dg.AssetSpec(
            DATA_MAP,
            group_name=GROUP,
            tags=duty_tag(GROUP),
            owners=owners(GROUP),
            kinds={"yaml"},
            description="The data map (`data_map.yaml`): which column holds whose data, and what an erasure "
            "and an export do with it. Each event of the others names the version that it went by.",
        ),
        dg.AssetSpec(
            ERASURES,
            group_name=GROUP,
            tags=duty_tag(GROUP),
            owners=owners(GROUP),
            deps=[DATA_MAP],
            kinds={"postgres", "s3", "redis"},
            description="Each event is one erasure that is done: what was deleted, anonymised and kept in "
            "which store, counts before and after, and the certificate. No personal data.",
        ),
        dg.AssetSpec(
            EXPORTS,
            group_name=GROUP,
            tags=duty_tag(GROUP),
            owners=owners(GROUP),
            deps=[DATA_MAP],
            kinds={"postgres", "s3"},
            description="Each event is one export: what was read from which store. No personal data.",
        ),
    ]


def materialization(
    request_type: RequestType, request_id: str, lines: Sequence[Line], effects: Sequence[Effect]
) -> dg.AssetMaterialization:
    """Build the event of one request; ``effects`` are the totals of ``lines``."""
    runs = dict.fromkeys(line.run_id for line in lines if line.run_id)
    versions = dict.fromkeys(line.map_version for line in lines if line.map_version)
    return dg.AssetMaterialization(
        asset_key=KEYS[request_type],
        description=f"{request_type} {request_id}",
        metadata={
            "request_id": dg.MetadataValue.text(request_id),
            "map_version": dg.MetadataValue.text(", ".join(versions)),
            "runs": dg.MetadataValue.text(", ".join(runs)),
            "rows_found": dg.MetadataValue.int(_sum(effects, "postgresql", "before")),
            "rows_changed": dg.MetadataValue.int(_sum(effects, "postgresql", "changed")),
            "objects": dg.MetadataValue.int(_sum(effects, "s3", "before")),
            "cache_keys": dg.MetadataValue.int(_sum(effects, "redis", "before")),
            "effects": dg.MetadataValue.md(table(effects)),
        },
    )


def erased(request_id: str, lines: Sequence[Line], outcome: "Outcome") -> dg.AssetMaterialization:
    """Build the event of an erasure, with its certificate."""
    event = materialization("erasure", request_id, lines, outcome.effects)
    return event.with_metadata(
        {
            **event.metadata,
            "certificate_id": dg.MetadataValue.text(outcome.certificate.certificate_id),
            "certificate": dg.MetadataValue.md(f"```json\n{outcome.certificate.as_file()}```"),
        }
    )


def table(effects: Sequence[Effect]) -> str:
    """Format effects as a Markdown table; leave out those that found nothing."""
    columns = ("store", "place", "role", "action", "before", "changed", "after")
    rows = [effect for effect in effects if effect.before or effect.changed or effect.after]
    return markdown.table(columns, [[getattr(effect, name) for name in columns] for effect in rows])


def _sum(effects: Sequence[Effect], store: str, field: str) -> int:
    return sum(getattr(effect, field) for effect in effects if effect.store == store)
