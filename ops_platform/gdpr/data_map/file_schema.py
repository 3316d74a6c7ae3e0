"""The shape of ``data_map.yaml``: its keys, and of what kind each is. What they mean is ``map_file``'s."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Keep(Strict):
    basis: Text
    term: Text


class Erase(Strict):
    anonymise: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    delete_unless_referenced: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    keep: Keep | None = None


class Row(Strict):
    role: Text
    column: Text | None = None
    through: Text | None = None
    to: Text | None = None
    roles: list[Text] | None = None
    array: Text | None = None
    json_: Text | None = Field(None, alias="json")
    path: Text | None = None
    holds: Text | None = None
    erase: Literal["delete", "remove"] | Erase
    export: Literal["own", "none"] | list[Text]


class Table(Strict):
    purpose: Text
    retention: Text
    personal: list[Text] = []
    plain: list[Text] = []
    documents: dict[str, dict[str, Literal["personal", "plain"]]] = {}
    rows: list[Row] = []
    triggers: dict[str, Text] = {}
    created: Text | None = None


class View(Strict):
    personal: list[Text] = []
    plain: list[Text] = []
    refresh: Text | None = None


class Subject(Strict):
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    table: Text
    key: Text
    email: Text
    identifiers: list[Text] = []
    stand_in: dict[str, Any] = {}


class Objects(Strict):
    bucket: Text
    prefix: Text
    purpose: Text
    export: bool


class CacheKeys(Strict):
    pattern: Text
    purpose: Text


class Processor(Strict):
    name: Text
    purpose: Text
    email: Text


class Map(Strict):
    version: Literal[1]
    subject: Subject
    tables: Annotated[dict[str, Table], Field(min_length=1)]
    views: dict[str, View] = {}
    objects: list[Objects] = []
    cache: list[CacheKeys] = []
    processors: list[Processor] = []
