"""The schema of ``data_map.yaml``: its keys and their types. ``parser`` gives them their meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from ops_platform.gdpr.data_map.model import UNDECIDED


def written(text: str) -> str:
    """Return a text that is written. Raises ValueError for one that is blank or left to be written."""
    if not text.strip() or text.lstrip().startswith(UNDECIDED):
        raise ValueError("is not written yet: write it, or leave the key out")
    return text


Text = Annotated[str, Field(min_length=1)]
Stated = Annotated[str, AfterValidator(written)]
"""A text that is written: neither blank nor left to be written."""
Names = Annotated[
    list[Text],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1),
]
"""One name, or a list of several."""
Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""The name of a kind of subject, or of a database."""


class Strict(BaseModel):
    """A mapping that may have no other keys."""

    model_config = ConfigDict(extra="forbid")


class Keep(Strict):
    """``erase: {keep: ...}``: the legal basis and the term."""

    basis: Text
    term: Text


class Erase(Strict):
    """``erase`` as a mapping: exactly one of the keys, which ``parser`` checks."""

    anonymise: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    delete_unless_referenced: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    keep: Keep | None = None
    redact: Text | None = None


class Row(Strict):
    """An item of ``rows``: one role in which rows of the table belong to a subject.

    ``of``, here and elsewhere: the kinds of subject that the item is about.
    """

    role: Text
    of: Names | None = None
    column: Names | None = None
    through: Text | None = None
    to: Names | None = None
    roles: list[Text] | None = None
    array: Text | None = None
    json_: Text | None = Field(None, alias="json")
    path: Text | None = None
    mentions: Names | None = None
    holds: Names | None = None
    where: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    erase: Literal["delete", "remove", "redact"] | Erase
    export: Literal["own", "none"] | list[Text]
    undecided: Text | None = None
    shared: Literal["keep", "stand_in", "delete"] | None = None


class Retention(Strict):
    """``retention`` as a mapping: a term that is enforced. ``text``: what an export says of it."""

    after: Text
    of: Text
    do: Literal["delete", "anonymise"]
    zone: Text | None = None
    text: Text | None = None


class Table(Strict):
    """A value of ``tables``."""

    purpose: Text
    retention: Annotated[
        Annotated[Text, Tag("<text>")] | Annotated[Retention, Tag("<retention>")],
        Discriminator(lambda value: "<retention>" if isinstance(value, dict) else "<text>"),
    ]
    personal: list[Text] = []
    plain: list[Text] = []
    documents: dict[str, dict[str, Literal["personal", "plain"]]] = {}
    rows: list[Row] = []
    triggers: dict[str, Text] = {}
    created: Text | None = None
    title: Text | None = None
    titles: dict[str, Text] = {}
    reasons: dict[str, Annotated[str, Field(min_length=1, pattern=r"\S")]] = {}
    refers: dict[str, Text] = {}
    undecided: dict[str, Text] = {}
    categories: dict[str, Text] = {}


class View(Strict):
    """A value of ``views``."""

    personal: list[Text] = []
    plain: list[Text] = []
    refresh: Text | None = None


class KnownBy(Strict):
    """An item of ``known_by``: a column of a side table with further identifiers of the subject."""

    table: Text
    column: Text
    roles: list[Text] = []
    undecided: str = ""


class SubjectOfKind(Strict):
    """A value of ``subjects``: the table of the people of one kind whose data the map describes."""

    table: Text
    key: Names
    email: Text
    identifiers: list[Text] = []
    known_by: list[KnownBy] = []
    stand_in: dict[str, Any] = {}


class Subject(SubjectOfKind):
    """``subject``: that of a map with one kind."""

    kind: Kind


class Objects(Strict):
    """An item of ``objects``: the subject's files in a bucket."""

    bucket: Text
    of: Text | None = None
    prefix: Text
    purpose: Text
    export: bool


class CacheKeys(Strict):
    """An item of ``cache``: the subject's keys in Redis."""

    pattern: Text
    of: Text | None = None
    purpose: Text


class Processor(Strict):
    """An item of ``processors``."""

    name: Text
    of: Names | None = None
    purpose: Text
    email: Text


class Accepted(Strict):
    """An item of ``accepted``: where an erased subject may be found, and why."""

    place: Text
    of: Names | None = None
    because: Annotated[str, Field(min_length=1, pattern=r"\S")]


class Recipient(Strict):
    """An item of the controller's ``recipients``."""

    name: Stated
    purpose: Stated


class ThirdCountry(Strict):
    """An item of ``third_countries``."""

    country: Stated
    recipient: Stated
    safeguards: Stated


class AutomatedDecision(Strict):
    """An item of ``automated_decisions``."""

    decision: Stated
    logic: Stated
    consequences: Stated


class Controller(Strict):
    """``controller``: who is responsible, and what they must say of the processing."""

    name: Stated
    address: Stated | None = None
    contact: Stated | None = None
    representative: Stated | None = None
    dpo: Stated | None = None
    supervisory_authority: Stated | None = None
    sources: list[Stated] | None = None
    recipients: list[Recipient] | None = None
    third_countries: list[ThirdCountry] | None = None
    automated_decisions: list[AutomatedDecision] | None = None
    security: list[Stated] | None = None


class Waiver(Strict):
    """An item of ``waived``: a finding of ``map check`` that is excused, and why."""

    finding: Literal["no-index", "no-key", "trigger-undoes"]
    place: Text
    because: Annotated[str, Field(min_length=1, pattern=r"\S")]


class Places(Strict):
    """The places of one database."""

    tables: Annotated[dict[str, Table], Field(min_length=1)]
    views: dict[str, View] = {}
    accepted: list[Accepted] = []
    waived: list[Waiver] = []


class Database(Places):
    """A value of ``databases``: a database of the subject's beside that of their row."""

    url_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    stanza: Text | None = None


class Map(Places):
    """The whole file; its own places are those of the home database."""

    version: Literal[1]
    subject: Subject | None = None
    subjects: Annotated[dict[Kind, SubjectOfKind], Field(min_length=1)] | None = None
    databases: dict[Kind, Database] = {}
    objects: list[Objects] = []
    cache: list[CacheKeys] = []
    processors: list[Processor] = []
    controller: Controller | None = None

    @property
    def everywhere(self) -> list[tuple[tuple[str, ...], Places]]:
        """List the places of all databases with their path in the file, the home database's first."""
        return [((), self), *((("databases", name), places) for name, places in self.databases.items())]
