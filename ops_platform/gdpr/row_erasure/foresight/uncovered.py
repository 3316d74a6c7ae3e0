"""The search before anything is destroyed: places in which an erasure would leave the subject's identifiers.

It is the residue scan, on the rows as the erasure will leave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.row_erasure import materialised_views, residue_exemptions
from ops_platform.gdpr.row_erasure.engine import RowErasure, searching, sort_out
from ops_platform.gdpr.row_erasure.foresight import rule_proposals
from ops_platform.gdpr.row_erasure.foresight.after_image import AfterImage
from ops_platform.gdpr.row_erasure.residue_exemptions import Wanted
from ops_platform.gdpr.row_erasure.residue_scan import Residue
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import spared_rows

SHOWN = 10
"""Places that one message names; the preview names all."""


@dataclass(frozen=True)
class Uncovered:
    """The number of rows of ``table`` whose ``column`` would name the subject; ``rule``: what covers them.

    ``rule`` is empty where it was not looked for.
    """

    table: str
    column: str
    rows: int
    rule: str


@dataclass(frozen=True)
class Foresight:
    """What an erasure would leave: ``uncovered`` by any rule, and ``accepted`` by the map."""

    uncovered: tuple[Uncovered, ...]
    accepted: tuple[Residue, ...]

    def refuse(self) -> None:
        """Raise CheckFailed where anything is not covered, with the places and rules for them."""
        if not self.uncovered:
            return
        places = "; ".join(
            f"{place.table}.{place.column} ({place.rows} rows; {place.rule})"
            for place in self.uncovered[:SHOWN]
        )
        more = len(self.uncovered) - SHOWN
        raise CheckFailed(
            "nothing was destroyed in this attempt: no rule of the data map removes the subject from "
            f"{places}{f' and {more} more places' if more > 0 else ''}: add such a rule for each place, or "
            "under accepted why they may stay there, and try again ('ops-platform gdpr preview' shows all)"
        )


def foresee(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    erasure: RowErasure,
    *,
    preview: bool = False,
) -> Foresight:
    """Search everywhere for what the erasure would leave; see ``foresee_each``."""
    [foresight] = foresee_each(connection, data_map, catalogue, [erasure], preview=preview)
    return foresight


def foresee_each(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    erasures: Sequence[RowErasure],
    *,
    preview: bool = False,
) -> list[Foresight]:
    """Search everywhere for what each erasure would leave, in one pass. Changes nothing.

    Materialised views that are refreshed in the end are not searched: they will repeat the tables.
    ``preview``: another role will erase, which may refresh all of them, and no journal was begun. Otherwise
    rules are looked for only for those places that ``Foresight.refuse`` names.
    Raises ConfigurationError where this role does not see all rows.
    """
    refreshed = set(data_map.views) if preview else materialised_views.refreshed(data_map, catalogue)
    searched_catalogue = replace(
        catalogue,
        relations={name: relation for name, relation in catalogue.relations.items() if name not in refreshed},
    )
    with searching(connection):
        images = [
            AfterImage(
                data_map,
                catalogue,
                [
                    (identity, spared_rows(connection, data_map, catalogue, identity, erasure.times))
                    for identity in erasure.identities
                ],
            )
            for erasure in erasures
        ]
        wanted = [
            (place, Wanted(identity, erasure.times, None if preview else erasure.erasure_id, images[place]))
            for place, erasure in enumerate(erasures)
            for identity in erasure.identities
        ]
        found = residue_exemptions.residue_each(
            connection, data_map, searched_catalogue, [one for _, one in wanted]
        )
        of_erasures: list[list[Residue]] = [[] for _ in erasures]
        for (place, _), hits in zip(wanted, found, strict=True):
            of_erasures[place] += hits
        return [
            _foresight(connection, data_map, image, hits, preview=preview)
            for image, hits in zip(images, of_erasures, strict=True)
        ]


def _foresight(
    connection: Connection, data_map: DataMap, image: AfterImage, hits: Sequence[Residue], *, preview: bool
) -> Foresight:
    searched = sort_out(data_map, hits)
    return Foresight(
        tuple(
            Uncovered(
                str(hit.table),
                hit.column,
                hit.rows,
                rule_proposals.propose(connection, image, hit) if preview or place < SHOWN else "",
            )
            for place, hit in enumerate(searched.left)
        ),
        searched.accepted,
    )
