"""The draft's entry of one table: classes and categories of its columns, roles, and what is undecided."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops_platform.gdpr.data_map import UNDECIDED
from ops_platform.gdpr.map_check import row_links, type_pairs
from ops_platform.gdpr.map_check.coverage import JSON_TYPES
from ops_platform.gdpr.map_check.draft import category_guess, ownership
from ops_platform.gdpr.map_check.draft.ownership import Link, Owned
from ops_platform.gdpr.map_check.draft.value_look import ValueLook
from ops_platform.gdpr.map_check.evidence import column_names
from ops_platform.gdpr.schema import Catalogue, Column, Name, Relation, quoted

_PERSONAL = re.compile(
    r"name|mail|phone|mobile|address|street|city|zip|postal|birth|gender|sex|nation|iban|bic|tax|ssn|passport"
    r"|(^|_)ip($|_)|user_?agent|device|geo|lat|lon|location|token|secret|password|hash|avatar|photo|picture"
    r"|handle|login|bio|note|comment|message|body|text|title|description|url|link|website",
    re.IGNORECASE,
)
# Types whose values can tell of a person by themselves.
_TELLING = {*column_names.TEXTS, "inet", "cidr", "macaddr", "bytea", "xml", *JSON_TYPES}


@dataclass(frozen=True)
class TableProposal:
    """Proposals for the tables of a map whose subject is in ``subject``, by ``key``."""

    subject: Name
    key: tuple[str, ...]
    look: ValueLook
    catalogue: Catalogue
    ownership: Mapping[Name, Owned]
    _known: dict[Name, list[dict[str, Any]]] = field(default_factory=dict)

    def entry(self, relation: Relation) -> dict[str, Any]:
        """Propose the entry of a table."""
        owned, rows = self.ownership[relation.name], self._rows(relation)
        linking = {
            column
            for row in rows
            for column in (*_names(row.get("column") or row["array"]), *row.get("where", ()))
        }
        rest = [column for column in relation.columns.values() if column.name not in linking]
        undecided = {name: why for name, why in owned.undecided.items() if name not in linking}
        referring = {
            name
            for reference in self.catalogue.references
            if reference.table == relation.name
            for name in reference.columns
        }
        deletes = self._deletes(relation)
        categories = {
            name: category
            for name in sorted(linking)
            if (category := category_guess.category_of(relation.columns[name]))
        }
        personal = []
        for column in rest:
            category = None if column.name in referring else category_guess.category_of(column)
            if seen := self._seen(relation, column, category):
                category, evidence = seen
                if not rows:
                    undecided.setdefault(column.name, evidence)
            elif not rows and category in category_guess.STRONG and column.name not in owned.refers:
                undecided.setdefault(column.name, f"looks like {category}, and no rows here are anybody's")
            if deletes and column.name in undecided and not self._may_hold_a_key(relation, column):
                # Nothing that names the subject has its type: it goes with the row.
                del undecided[column.name]
                personal.append(column.name)
            elif rows and (seen or _looks_personal(column)):
                personal.append(column.name)
                if category:
                    categories[column.name] = category
        for column in rest:
            if column.name in undecided or column.name in owned.refers or column.generated:
                continue
            if not (deletes and column.name in personal) and _needs_a_reason(column):
                left = "the roles leave it" if column.name in personal else "no rows here are anybody's"
                undecided[column.name] = f"{_kind(column)}, and {left}: may it stay"
        plain = [column.name for column in rest if column.name not in personal]
        lists = {"personal": personal, "plain": plain, "categories": categories}
        refers = {
            name: f"{table}.{quoted(to)}" for name, (table, to) in owned.refers.items() if name not in linking
        }
        told = {name: f"{UNDECIDED}: {why}?" for name, why in sorted(undecided.items())}
        return {
            "purpose": f"{UNDECIDED}: why do you keep this?",
            "retention": f"{UNDECIDED}: until when?",
            **{key: names for key, names in lists.items() if names},
            **({"refers": refers} if refers else {}),
            **({"undecided": told} if told else {}),
            **({"rows": rows} if rows else {}),
        }

    def view(self, relation: Relation) -> dict[str, list[str]]:
        """Propose the entry of a view."""
        personal = [column.name for column in relation.columns.values() if _looks_personal(column)]
        plain = [name for name in relation.columns if name not in personal]
        return {key: names for key, names in (("personal", personal), ("plain", plain)) if names}

    def _rows(self, relation: Relation) -> list[dict[str, Any]]:
        rows = list(self._first(relation))
        for link in self.ownership[relation.name].links:
            if link.further and self._deletes(self.catalogue.relations[link.target]):
                rows.append(self._row(relation, link, [row["role"] for row in rows]))
        return rows

    def _first(self, relation: Relation) -> list[dict[str, Any]]:
        """Propose the roles that say whose the rows are, without what they refer to besides."""
        if relation.name in self._known:
            return self._known[relation.name]
        rows: list[dict[str, Any]] = []
        if relation.name == self.subject:
            key = one_or_several(self.key)
            rows.append({"role": "account", "column": key, "erase": "delete", "export": "own"})
        for link in self.ownership[relation.name].links:
            if not link.further:
                rows.append(self._row(relation, link, [row["role"] for row in rows]))
        self._known[relation.name] = rows
        return rows

    def _deletes(self, relation: Relation) -> bool:
        return any(row["erase"] == "delete" for row in self._first(relation))

    def _row(self, relation: Relation, link: Link, roles: Sequence[str]) -> dict[str, Any]:
        columns, to = link.columns, link.to
        key = "array" if link.guess and relation.columns[columns[0]].array else "column"
        row: dict[str, Any] = {"role": _role(columns[-1], roles), key: one_or_several(columns)}
        nullable = [column for column in columns if not relation.columns[column].not_null]
        if link.target != self.subject:
            row |= {"through": str(link.target), "to": one_or_several(to)}
            target = self.catalogue.relations[link.target]
            parents = [parent["role"] for parent in self._first(target)]
            # What somebody has only approved is not theirs, and what belongs to it neither.
            theirs = [parent["role"] for parent in self._first(target) if parent["erase"] == "delete"]
            if len(theirs) < len(parents) or any(
                other.further for other in self.ownership[link.target].links
            ):
                row["roles"] = theirs or parents
        elif to != self.key:
            row |= {"holds": one_or_several(to)}
        if link.where:
            row["where"] = dict(link.where)
        if key == "array":
            row |= {"erase": "remove", "export": "none"}
        else:
            keeps = nullable and (link.further or ownership.keeps(relation, link, self.subject, self.key))
            # The last one: a tenant comes before what it holds.
            row["erase"] = {"anonymise": {nullable[-1]: None}} if keeps else "delete"
            row["export"] = "none" if keeps else "own"
        if link.guess:
            row["undecided"] = f"{UNDECIDED}: {link.guess}; is it right?"
        elif nullable and link.on_delete not in ("cascade", "set null") and relation.name != self.subject:
            # A row that can do without the person may be others' as well: an association with a contact.
            row["undecided"] = (
                f"{UNDECIDED}: {nullable[-1]} may be NULL; are these rows theirs, or kept without them?"
            )
        return row

    def _may_hold_a_key(self, relation: Relation, column: Column) -> bool:
        if type_pairs.type_of(relation, column.name) is not None:
            return True
        subject = self.catalogue.relations[self.subject]
        stem = column_names.stem(column, self.catalogue.relations) or column.name
        return row_links.may_name(column, stem, subject, self.key)

    def _seen(self, relation: Relation, column: Column, category: str | None) -> tuple[str, str] | None:
        """Look at the values of a text whose name does not tell."""
        if category in category_guess.STRONG or column.base not in column_names.TEXTS or column.array:
            return None
        content = self.look.content(relation.name, column.name)
        if content is None:
            return None
        found, count, values = content
        return found, f"{count} of {values} sampled values look like {found}"


def _looks_personal(column: Column) -> bool:
    # A free text may say anything: it is personal until somebody says that it is not.
    return column.base in _TELLING or column_names.is_opaque(column) or bool(_PERSONAL.search(column.name))


def _needs_a_reason(column: Column) -> bool:
    return (
        column_names.is_credential(column)
        or column_names.is_address(column)
        or column_names.is_opaque(column)
    )


def _kind(column: Column) -> str:
    if column_names.is_credential(column):
        return "looks like a credential"
    return "looks like an address" if column_names.is_address(column) else f"is {column.type}"


def one_or_several(columns: Sequence[str]) -> str | list[str]:
    """Write one name, or a list of several, as the map does."""
    return columns[0] if len(columns) == 1 else list(columns)


def _names(columns: str | list[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else columns


def _role(column: str, roles: Sequence[str]) -> str:
    role = re.sub(r"(_id|Id|_uuid|_key)$", "", column) or column
    numbered = (f"{role} {number}" for number in range(2, len(roles) + 3))
    return role if role not in roles else next(name for name in numbered if name not in roles)
