"""What is in an archive, on the demo product: all that SQL by hand finds, and nobody else."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from operator import itemgetter
from typing import Any
from uuid import uuid4

import jsonschema_rs
import psycopg
import pytest

from ops_platform.clients.object_store.bucket import ObjectStore
from ops_platform.clients.object_store.s3_errors import ObjectMissing
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.export import content as export_content
from ops_platform.gdpr.export.content import ExportRequest, NoSuchSubject
from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.local.servers.postgres_cluster import PostgresCluster
from ops_platform_tests.gdpr.subject.test_row_predicates import BY_HAND

pytestmark = pytest.mark.services
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENOUGH = 25
"""So many people are exported, and more when nobody has rows in some place yet."""


@dataclass(frozen=True)
class Archive:
    data: bytes
    effects: list[Effect]

    @cached_property
    def zip(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(self.data))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.zip.read("manifest.json"))
        return found

    def rows(self, place: str, role: str) -> list[dict[str, Any]]:
        base = f"data/{place}/{role}"
        names = self.zip.namelist()
        if f"{base}.jsonl" in names:
            return [json.loads(line) for line in self.zip.read(f"{base}.jsonl").splitlines()]
        found: list[dict[str, Any]] = (
            json.loads(self.zip.read(f"{base}.json")) if f"{base}.json" in names else []
        )
        return found

    @cached_property
    def text(self) -> str:
        """All of it but the media."""
        return "\n".join(
            self.zip.read(name).decode()
            for name in self.zip.namelist()
            if not name.startswith(("media/", "pictures/"))
        )


@pytest.fixture
def worker(demo_cluster: PostgresCluster) -> Iterator[Connection]:
    with postgres.connect(demo_cluster.url("ops_eraser")) as connection:
        yield connection


def exported(
    connection: Connection, data_map: DataMap, key: str, media: ObjectStore, language: str = "en"
) -> Archive:
    sink = io.BytesIO()
    effects = export_content.write(
        connection,
        data_map,
        ExportRequest(key, "fr" if language == "fr" else "en", NOW),
        sink,
        lambda bucket: media,
    )
    return Archive(sink.getvalue(), effects)


@dataclass
class Archives:
    """One archive of each subject, for tests that only look: an export takes half a second."""

    made: dict[str, Archive]

    def of(self, connection: Connection, data_map: DataMap, key: str, media: ObjectStore) -> Archive:
        if key not in self.made:
            self.made[key] = exported(connection, data_map, key, media)
        return self.made[key]


@pytest.fixture(scope="module")
def archives() -> Archives:
    return Archives({})


@pytest.fixture(scope="session")
def heavy(demo_cluster: PostgresCluster) -> dict[str, Any]:
    """The identifiers of who has most."""
    with postgres.connect(demo_cluster.url("product_owner")) as connection:
        row = connection.execute(
            "SELECT c.id, c.email, c.handle, c.number FROM creators AS c "
            "JOIN usage_logs AS u ON u.creator_id = c.id GROUP BY c.id ORDER BY count(*) DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    return row


def test_it_holds_all_rows_that_sql_by_hand_finds(
    worker: Connection, demo_map: DataMap, media: ObjectStore, archives: Archives
) -> None:
    seen: set[tuple[str, str]] = set()
    people = worker.execute(
        "SELECT id, email, handle, number FROM creators WHERE number <= 40 ORDER BY number"
    ).fetchall()
    worker.commit()
    for person in people:
        archive = archives.of(worker, demo_map, str(person["id"]), media)
        stated = {(part["place"], part["role"]): part.get("rows") for part in archive.manifest["parts"]}
        effects = {(one.place, one.role): one.changed for one in archive.effects}
        for place in set(BY_HAND) & set(stated):
            [row] = worker.execute(BY_HAND[place], person).fetchall()
            counts = {row["count"], stated[place], effects[place], len(archive.rows(*place))}
            assert len(counts) == 1, (place, counts)
            if row["count"]:
                seen.add(place)
        worker.commit()
        if person["number"] >= ENOUGH and len(seen) == len(BY_HAND) - 1:
            break
    # A referrer is shown nothing of whom he brought.
    assert set(BY_HAND) - seen == {("creators", "referrer")}


def test_rows_are_what_is_in_the_database(
    worker: Connection, demo_map: DataMap, media: ObjectStore, heavy: dict[str, Any], archives: Archives
) -> None:
    archive = archives.of(worker, demo_map, str(heavy["id"]), media)
    for place, query in {
        ("posts", "author"): "SELECT id, title, body, status FROM posts WHERE creator_id = %(id)s",
        ("comments", "author"): "SELECT id, post_id, body FROM comments WHERE author_id = %(id)s",
        ("usage_logs", "user"): "SELECT id, host(ip) AS ip, event, properties FROM usage_logs "
        "WHERE creator_id = %(id)s",
        ("creators", "account"): "SELECT id::text, email, handle, date_of_birth::text, number FROM creators "
        "WHERE id = %(id)s",
        ("media", "owner"): "SELECT id::text, encode(thumbnail, 'hex') AS thumbnail, exif FROM media "
        "WHERE creator_id = %(id)s",
    }.items():
        rows = worker.execute(query, heavy).fetchall()
        shown = archive.rows(*place)
        for each in shown:
            if each.get("thumbnail") is not None:
                each["thumbnail"] = base64.b64decode(each["thumbnail"], validate=True).hex()
        assert rows
        assert sorted(rows, key=itemgetter("id")) == sorted(
            ({name: each[name] for name in rows[0]} for each in shown), key=itemgetter("id")
        ), place
    # Of what is shared only what the map shows.
    assert {name for row in archive.rows("audit_logs", "subject") for name in row} == {
        "occurred_at",
        "action",
    }
    assert "token_hash" not in archive.text


def test_it_names_nobody_else(
    worker: Connection, demo_map: DataMap, media: ObjectStore, heavy: dict[str, Any], archives: Archives
) -> None:
    people = worker.execute("SELECT id::text, email, handle, number FROM creators").fetchall()
    worker.commit()
    chosen = [str(heavy["id"]), *(one["id"] for one in people if one["number"] <= ENOUGH)]
    pseudonyms: list[set[str]] = []
    seen: set[str] = set()
    for key in chosen:
        # A second one of who is there twice.
        look = exported if key in seen else archives.of
        seen.add(key)
        archive = look(worker, demo_map, key, media)
        words = set(
            re.findall(
                r"[\w.@+-]+", re.sub(r'"(body|title|message)": *"(?:[^"\\\\]|\\\\.)*"', "", archive.text)
            )
        )
        words |= {word.strip(".-") for word in words}
        others = [one for one in people if one["id"] != key]
        for what in ("id", "email", "handle"):
            assert not words & {one[what] for one in others}, what
        pseudonyms.append(set(re.findall(r"person-[0-9a-f]{16}", archive.text)))
        folders = {name.split("/")[1] for name in archive.zip.namelist() if name.startswith("media/")}
        assert folders <= {"creators", "avatars"}
    assert sum(map(bool, pseudonyms)) > len(chosen) / 2
    # The same person has another name in each archive.
    assert len(set().union(*pseudonyms)) == sum(map(len, pseudonyms))


def test_media_are_there_byte_by_byte(worker: Connection, demo_map: DataMap, media: ObjectStore) -> None:
    [three] = worker.execute("SELECT id::text FROM creators WHERE number = 3").fetchall()
    worker.commit()
    media.put(f"creators/{three['id']}/", b"")  # as consoles of S3 make a folder
    archive = exported(worker, demo_map, three["id"], media)
    media.delete(f"creators/{three['id']}/")
    expected = {
        **{f"media/avatars/{one.key[10:]}": media.get(one.key) for one in media.list("avatars/3/")},
        **{
            f"media/creators/{one.key.rpartition('/')[2]}": media.get(one.key)
            for one in media.list(f"creators/{three['id']}/")
        },
    }
    assert len(expected) > 1
    assert {
        name: archive.zip.read(name) for name in archive.zip.namelist() if name.startswith("media/")
    } == expected
    [avatars] = [one for one in archive.effects if one.place == "media/avatars/{number}/"]
    assert (avatars.store, avatars.changed) == ("s3", 1)


def test_the_manifest_tells_every_file(
    worker: Connection, demo_map: DataMap, media: ObjectStore, heavy: dict[str, Any], archives: Archives
) -> None:
    archive = archives.of(worker, demo_map, str(heavy["id"]), media)
    assert archive.zip.testzip() is None
    listed = {one["path"]: one for one in archive.manifest["files"]}
    assert set(archive.zip.namelist()) - {"manifest.json"} == set(listed)
    for path, one in listed.items():
        data = archive.zip.read(path)
        assert (one["bytes"], one["sha256"]) == (len(data), hashlib.sha256(data).hexdigest()), path
    assert archive.manifest["map_version"] == demo_map.version
    about = json.loads(archive.zip.read("about.json"))
    assert {one["place"]: one.get("retention") for one in about["data"]}["posts"]
    assert [one["name"] for one in about["recipients"]] == [one.name for one in demo_map.processors]
    assert {one["article"] for one in about["rights"]} >= {"Art. 15", "Art. 17", "Art. 20", "Art. 77"}


def test_the_schema_describes_every_file_of_rows(
    worker: Connection, demo_map: DataMap, media: ObjectStore, heavy: dict[str, Any], archives: Archives
) -> None:
    archive = archives.of(worker, demo_map, str(heavy["id"]), media)
    schemas = json.loads(archive.zip.read("schema.json"))["$defs"]
    assert set(schemas) == {name for name in archive.zip.namelist() if name.startswith("data/")}
    for path, schema in schemas.items():
        validator = jsonschema_rs.Draft202012Validator(schema)
        text = archive.zip.read(path)
        for document in text.splitlines() if path.endswith(".jsonl") else [text]:
            validator.validate(json.loads(document))
    assert schemas["data/posts/author.json"]["description"] == "What you publish."
    assert schemas["data/posts/author.json"]["items"]["properties"]["title"]["type"] == ["string", "null"]


@pytest.mark.parametrize(("language", "title"), [("en", "Your data"), ("fr", "Vos données")])
def test_the_page_speaks_the_subjects_language(
    worker: Connection,
    demo_map: DataMap,
    media: ObjectStore,
    heavy: dict[str, Any],
    language: str,
    title: str,
) -> None:
    page = exported(worker, demo_map, str(heavy["id"]), media, language).zip.read("index.html").decode()
    assert f'<html lang="{language}">' in page
    assert f"<h1>{title}</h1>" in page
    assert heavy["email"] in page
    assert "<script" not in page


def test_nobody_is_exported_whom_the_database_does_not_know(
    worker: Connection, demo_map: DataMap, media: ObjectStore
) -> None:
    for key in (str(uuid4()), "no key at all"):
        with pytest.raises(NoSuchSubject, match="not in the database"):
            exported(worker, demo_map, key, media)
        assert worker.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_map_that_does_not_fit_exports_nothing(
    worker: Connection, demo_map: DataMap, media: ObjectStore, heavy: dict[str, Any]
) -> None:
    tables = {name: one for name, one in demo_map.tables.items() if name.relation != "sessions"}
    with pytest.raises(CheckFailed, match="map check"):
        exported(worker, replace(demo_map, tables=tables), str(heavy["id"]), media)


def test_files_that_might_be_somebody_elses_are_not_given_out(
    demo_cluster: PostgresCluster, demo_map: DataMap, media: ObjectStore
) -> None:
    by_handle = replace(
        demo_map, objects=tuple(replace(one, prefix="users/{handle}/") for one in demo_map.objects)
    )
    with postgres.connect(demo_cluster.url("product_owner")) as owner:
        [one, other] = owner.execute(
            "SELECT id::text, handle FROM creators WHERE number IN (4, 5) ORDER BY number"
        ).fetchall()
        owner.execute("UPDATE creators SET handle = %s WHERE id = %s", (f"{one['handle']}/x", other["id"]))
        owner.commit()
        try:
            with postgres.connect(demo_cluster.url("ops_eraser")) as worker:
                for each in (one, other):
                    with pytest.raises(CheckFailed, match="another identifier") as refused:
                        exported(worker, by_handle, each["id"], media)
                    assert one["handle"] not in str(refused.value)
                assert exported(worker, demo_map, one["id"], media).effects
        finally:
            owner.execute("UPDATE creators SET handle = %s WHERE id = %s", (other["handle"], other["id"]))


def test_an_upload_that_broke_is_no_file_that_was_deleted(
    worker: Connection, demo_map: DataMap, media: ObjectStore
) -> None:
    class Gone(io.BytesIO):
        def write(self, data: Any) -> int:
            # Media are stored as they are.
            if pictures[0] in bytes(data):
                raise ObjectMissing("the upload is no more")
            return super().write(data)

    [three] = worker.execute("SELECT id::text FROM creators WHERE number = 3").fetchall()
    worker.commit()
    pictures = [media.get(one.key) for one in media.list(f"creators/{three['id']}/")]
    with pytest.raises(ObjectMissing, match="no more"):
        export_content.write(
            worker, demo_map, ExportRequest(three["id"], "en", NOW), Gone(), lambda bucket: media
        )
