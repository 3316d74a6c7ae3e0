"""The parser of a table's ``retention``: a text for people, or a term that is enforced."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ops_platform.gdpr.data_map import file_schema
from ops_platform.gdpr.data_map.map_document import MapDocument
from ops_platform.gdpr.data_map.model import Constant
from ops_platform.gdpr.data_map.retention_term import Period, RetentionTerm
from ops_platform.lined_yaml import KeyPath


def parse(
    document: MapDocument, table_path: KeyPath, table: file_schema.Table
) -> tuple[str, RetentionTerm | None]:
    """Parse it into the text for people and the term. Raises ConfigurationError with file and line."""
    model = table.retention
    if isinstance(model, str):
        return model, None
    path = (*table_path, "retention")
    try:
        after = Period.parse(model.after)
    except ValueError as error:
        raise document.error((*path, "after"), str(error)) from None
    if model.zone is not None:
        try:
            ZoneInfo(model.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise document.error(
                (*path, "zone"), f"{model.zone!r} is no time zone: write UTC or a name as Europe/Paris"
            ) from None
    values = None if model.do == "delete" else _values(document, table_path, table)
    term = RetentionTerm(after, model.of, model.zone, values)
    done = "Deleted" if values is None else "Made anonymous"
    return model.text or f"{done} {after} after {model.of.replace('_', ' ')}.", term


def _values(document: MapDocument, table_path: KeyPath, table: file_schema.Table) -> dict[str, object]:
    """Join what the table's own rules set, of all kinds of subject: others say that rows are not to stay."""
    path = (*table_path, "retention", "do")
    values: dict[str, object] = {}
    for number, row in enumerate(table.rows):
        given = row.erase.anonymise if isinstance(row.erase, file_schema.Erase) else None
        if given is None:
            raise document.error(
                path,
                f"anonymise goes where an erasure anonymises every role, and {row.role!r} is not: "
                "write delete",
            )
        place = (*table_path, "rows", number, "erase", "anonymise")
        for column, value in document.values(place, given).items():
            if not isinstance(value, Constant):
                raise document.error(
                    path,
                    f"{column} is set to a {str(value).replace('_', '-')}, which is of one erasure: give it "
                    "null or a {value: ...}, or write delete",
                )
            if values.get(column, value.value) != value.value:
                raise document.error(path, f"two roles set {column} to different values")
            values[column] = value.value
    if not values:
        raise document.error(path, "no role says what to set: write delete")
    return values
