"""The record of processing activities (Art. 30(1) GDPR), from the data map: as data, and as Markdown. Pure.

One activity a table, for that is what the map knows purposes and terms of. What the map does not tell is
named, never left blank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from ops_platform import markdown
from ops_platform.gdpr.data_map import UNDECIDED, ByMention, DataMap, Keep, Table, kinds
from ops_platform.gdpr.transparency.disclosure import recipients

FORMAT = "ops-platform-processing-record/1"
NOT_TOLD = "not told by the map"
_ASKED = {
    "address": "30(1)(a)",
    "contact": "30(1)(a)",
    "dpo": "30(1)(a)",
    "recipients": "30(1)(d)",
    "third_countries": "30(1)(e)",
    "security": "30(1)(g)",
}


def compose(data_map: DataMap) -> dict[str, Any]:
    """Compose the record; ``not_told`` lists what Art. 30(1) asks for and the map does not say."""
    controller, maps = data_map.controller, kinds.every(data_map)
    who = ("name", "address", "contact", "representative", "dpo")
    known = [recipient for of_kind in maps for recipient in recipients(of_kind)]
    return {
        "format": FORMAT,
        "map_version": data_map.version,
        "controller": None
        if controller is None
        else {name: getattr(controller, name) or None for name in who},
        "categories_of_subjects": kinds.names(data_map),
        "activities": [
            _activity(table, part)
            for part in data_map.everywhere
            for table in part.tables.values()
            if _is_personal(table)
        ],
        "files": [
            {"place": f"{objects.bucket}/{objects.prefix}", "purpose": objects.purpose}
            for of_kind in maps
            for objects in of_kind.objects
        ],
        "caches": [
            {"pattern": keys.pattern, "purpose": keys.purpose} for of_kind in maps for keys in of_kind.cache
        ],
        "recipients": [one for place, one in enumerate(known) if one not in known[:place]],
        "third_countries": None
        if controller is None or controller.third_countries is None
        else [asdict(transfer) for transfer in controller.third_countries],
        "security": None if controller is None or controller.security is None else list(controller.security),
        "tables_without_personal_data": [
            part.place(table.name)
            for part in data_map.everywhere
            for table in part.tables.values()
            if not _is_personal(table)
        ],
        "not_told": _not_told(data_map),
    }


def as_markdown(record: dict[str, Any]) -> str:
    """Write the record for people."""
    return "\n".join(_lines(record)) + "\n"


def _is_personal(table: Table) -> bool:
    return bool(table.personal or table.everyones or table.documents)


def _activity(table: Table, part: DataMap) -> dict[str, Any]:
    documents = [
        f"{column} {path}"
        for column, paths in table.documents.items()
        for path, kind in paths.items()
        if kind == "personal"
    ]
    return {
        "table": part.place(table.name),
        "title": table.title,
        "purpose": table.purpose,
        "retention": table.retention,
        "enforced": table.term is not None,
        "kept_by_law": [
            {"role": belonging.role, "basis": belonging.erasure.basis, "term": belonging.erasure.term}
            for belonging in table.everyones
            if isinstance(belonging.erasure, Keep)
        ],
        "roles": [belonging.role for belonging in table.everyones],
        "categories_of_data": sorted({*(_with_category(table, name) for name in table.personal), *documents}),
        "links_to_the_subject": sorted(
            {
                column
                for belonging in table.everyones
                if not isinstance(belonging.way, ByMention)
                for column in belonging.way.columns
            }
        ),
    }


def _with_category(table: Table, column: str) -> str:
    category = table.categories.get(column)
    return column if category is None else f"{column} ({category})"


def _not_told(data_map: DataMap) -> list[str]:
    controller = data_map.controller
    untold = ["controller"] if controller is None else []
    untold += [name for name in _ASKED if controller is None or getattr(controller, name) is None]
    for part in data_map.everywhere:
        untold += [
            f"{part.place(table.name)}: {name}"
            for table in part.tables.values()
            for name, text in (("purpose", table.purpose), ("retention", table.retention))
            if text.startswith(UNDECIDED)
        ]
    return untold


def _lines(record: dict[str, Any]) -> Iterator[str]:
    yield "# Record of processing activities"
    yield ""
    yield f"Art. 30(1) GDPR, from the data map {record['map_version']}."
    yield ""
    yield "## Controller"
    yield ""
    controller = record["controller"]
    if controller is None:
        yield f"{NOT_TOLD.capitalize()}."
    else:
        untold = set(record["not_told"])
        for name, value in controller.items():
            if value or name in untold or name == "dpo":
                yield f"- {name.replace('_', ' ')}: {value or (NOT_TOLD if name in untold else 'none')}"
    yield ""
    yield "## Data subjects"
    yield ""
    yield from _items(record["categories_of_subjects"])
    yield ""
    yield "## Activities"
    yield ""
    yield markdown.table(
        ("table", "purpose", "personal data", "found by", "kept for", "kept by law"),
        [
            (
                activity["table"],
                activity["purpose"],
                ", ".join(activity["categories_of_data"]),
                ", ".join(activity["links_to_the_subject"]),
                activity["retention"] + (" (carried out daily)" if activity["enforced"] else ""),
                "; ".join(f"{kept['basis']}: {kept['term']}" for kept in activity["kept_by_law"]),
            )
            for activity in record["activities"]
        ],
    )
    yield ""
    yield "## Files and caches"
    yield ""
    stores = [(files["place"], files["purpose"]) for files in record["files"]]
    stores += [(keys["pattern"], keys["purpose"]) for keys in record["caches"]]
    yield from _items(f"{place}: {purpose}" for place, purpose in stores)
    yield ""
    yield "## Recipients"
    yield ""
    told = [f"{recipient['name']}: {recipient['purpose']}" for recipient in record["recipients"]]
    others = [f"others than processors: {NOT_TOLD}"] if "recipients" in record["not_told"] else []
    yield from _items([*told, *others])
    yield ""
    yield "## Third countries"
    yield ""
    transfers = record["third_countries"]
    yield from _items(
        [NOT_TOLD]
        if transfers is None
        else (f"{t['country']}: {t['recipient']}; {t['safeguards']}" for t in transfers)
    )
    yield ""
    yield "## Security measures"
    yield ""
    yield from _items([NOT_TOLD] if record["security"] is None else record["security"])
    if record["not_told"]:
        yield ""
        yield "## Not told by the map"
        yield ""
        yield from _items(record["not_told"])


def _items(texts: Iterable[str]) -> Iterator[str]:
    items = [f"- {text}" for text in texts]
    yield from items or ["- none"]
