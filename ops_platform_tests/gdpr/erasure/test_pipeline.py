"""An erasure from request to certificate, over real databases, S3 and Redis; killed at every step."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import CliRunner

from ops_platform.audit import keys as audit_keys
from ops_platform.cli.gdpr import gdpr
from ops_platform.clients import object_store
from ops_platform.clients.postgres import connection as postgres
from ops_platform.dr.verification import backup_expiry as backup_term
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.gdpr.certificates import certificate_store as certificates
from ops_platform.gdpr.certificates import document as certificate
from ops_platform.gdpr.certificates import map_store
from ops_platform.gdpr.erasure import context as erasure_context
from ops_platform.gdpr.erasure import pipeline
from ops_platform.gdpr.erasure.context import ErasureContext
from ops_platform.gdpr.erasure.steps import preflight
from ops_platform.gdpr.erasure.steps.base import ErasureState
from ops_platform.gdpr.requests import work_queue as work
from ops_platform.gdpr.row_erasure import residue_scan as residue
from ops_platform.gdpr.row_erasure.engine import RowErasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.tombstones import legal_holds
from ops_platform.settings import Settings
from ops_platform_tests.gdpr.erasure_scene import Scene, work_on
from ops_platform_tests.gdpr.requests_database import T0
from ops_platform_tests.relay import Relay

pytestmark = pytest.mark.services

STEPS = tuple(step.name for step in pipeline.STEPS)
KILLED_IN_ANY_RUN = [("rows", "after")]
# Between the end of a step and the beginning of the next one nothing is written: the two are one moment.
KILLED = [(STEPS[0], "before"), *((step, "after") for step in STEPS)]


def erase(place: Scene, request_id: str, context: ErasureContext | None = None) -> list[str]:
    lines: list[str] = []
    opened = context or place.context()
    work_on(place.ops_url, request_id, lambda: opened, log=lines.append)
    return lines


def is_erased(place: Scene, request_id: str) -> None:
    """Whatever happened before: it is done, once, and nothing tells of the subject."""
    row = place.requests.row(request_id)
    assert (row["status"], row["outcome"], row["progress"]) == ("completed", "fulfilled", "done")
    assert (row["requestor_email"], row["used_token"]) == ("", None)
    assert place.rows_of() == 0
    assert place.residue() == []
    assert (place.objects(place.who), place.keys(place.who)) == (0, 0)
    assert sum(1 for _ in place.cache.keys("handle:")) == 0
    assert (place.objects(place.neighbour), place.keys(place.neighbour)) == (3, 2)
    assert place.tombstones() == (1, 1)
    assert place.ops_count("gdpr_certificates") == 1
    assert place.ops_count("gdpr_inventories") == 0
    assert [one.key for one in place.ledger.list("certificates/")] == [f"certificates/{request_id}.json"]
    assert sum(1 for _ in place.ledger.list("identities/")) == 1
    with place.product.eraser() as product:
        rows = product.execute("SELECT count(*) AS n FROM ops_platform.erasures").fetchall()
    assert rows[0]["n"] == 0
    letters = place.requests.worker.execute(
        "SELECT dedup_key FROM mail_outbox WHERE dedup_key NOT LIKE 'gdpr-verification:%' ORDER BY 1"
    ).fetchall()
    assert [one["dedup_key"] for one in letters] == [
        f"gdpr-erased:{request_id}",
        f"gdpr-processor:{request_id}:Newsletter service:1",
    ]


def test_a_request_ends_with_a_certificate_that_anybody_can_check(place: Scene) -> None:
    before, request_id = place.others(), place.request()
    erase(place, request_id)
    is_erased(place, request_id)
    with place.requests.database.superuser() as superuser:
        row = superuser.execute(
            "SELECT attachments -> 0 ->> 'text' FROM mail_outbox WHERE dedup_key LIKE 'gdpr-erased:%'"
        ).fetchone()
    assert row is not None
    assert row[0] == place.ledger.get(f"certificates/{request_id}.json").decode()
    assert place.others() == before

    done = pipeline.outcome(place.requests.worker, request_id)
    assert done is not None
    text = place.ledger.get(f"certificates/{request_id}.json")
    found = certificate.verify(text, certificate.public_keys(place.settings))
    assert found["certificate_id"] == done.certificate.certificate_id
    by_place = {(one["place"], one["action"]): one for one in found["effects"]}
    media = by_place["media/creators/{id}/", "delete"]
    assert (media["before"], media["changed"], media["after"]) == (3, 3, 0)
    assert sum(one.changed for one in done.effects if one.store == "postgresql") > 10
    assert [one["table"] for one in found["kept_by_law"]] == ["ledger_entries"]
    assert found["others_unchanged"]
    assert "follows" in found["others_told_apart"]["by_foreign_keys"]
    assert "audit_logs" in found["others_told_apart"]["by_data_map_only"]
    shared = {(one["table"], one["role"]): one for one in found["shared_with_others"]}
    assert shared["follows", "follower"]["becomes"] == "delete"
    assert shared["follows", "follower"]["rows"] > 0
    assert "gone for them" in shared["follows", "follower"]["consequence"]
    for value in place.identity.values.values():
        assert str(value) not in text.decode() or len(str(value)) < 5
    assert {*STEPS, "completed"} <= set(place.requests.steps(request_id))
    _says_what_an_auditor_asks(place, request_id, found)


def _says_what_an_auditor_asks(place: Scene, request_id: str, found: dict[str, Any]) -> None:
    """Who, when, where, what was searched, by which map, and who was told: also in the lineage."""
    [database] = found["databases"]
    with place.product.cluster.superuser(place.product.name) as superuser:
        row = superuser.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    assert row is not None
    assert (database["database"], database["system_identifier"]) == (place.product.name, row[0])
    assert found["controller"]["name"] == "Folio Publishing"
    request = place.requests.row(request_id)
    assert datetime.fromisoformat(found["received_at"]) == request["created_at"]
    assert datetime.fromisoformat(found["confirmed_at"]) == request["verified_at"]
    assert datetime.fromisoformat(found["due_at"]) - request["verified_at"] == timedelta(hours=72)
    assert found["done_at"] <= found["issued_at"]
    assert "email" in found["searched"]["identifiers"]
    assert "body" in found["searched"]["columns"]["comments"]
    assert "created_at" not in found["searched"]["columns"]["comments"]
    [processor] = found["processors"]
    assert processor["told_at"] is not None
    assert processor["acknowledged_at"] is None
    assert map_store.find(place.requests.worker, found["map_version"]).sha256 == found["map_sha256"]
    runner = CliRunner(env={"OPS_DATABASE_URL": place.ops_url})
    answered = ["processor-answered", request_id, processor["name"]]
    for at in (T0.isoformat(), "2062-12-01T00:00:00Z"):
        ended = runner.invoke(gdpr, [*answered, "--at", at])
        assert "cannot have answered before, or in the future" in str(ended.exception)
    assert runner.invoke(gdpr, answered).output == "recorded\n"
    assert "already" in runner.invoke(gdpr, answered).output
    assert isinstance(runner.invoke(gdpr, [*answered[:2], "Nobody"]).exception, CheckFailed)
    lineage = json.loads(runner.invoke(gdpr, ["lineage", request_id, "--json"]).output)
    [(name, answered_at)] = lineage["answers"].items()
    assert (name, answered_at > found["issued_at"]) == (processor["name"], True)
    [certified] = [step["details"] for step in lineage["steps"] if step["step"] == "certificate"]
    assert certified["databases"] == found["databases"]
    assert certified["map_sha256"] == found["map_sha256"]


@pytest.mark.parametrize(("step", "when"), KILLED_IN_ANY_RUN)
def test_killed_and_tried_again_it_ends_once(place: Scene, step: str, when: str) -> None:
    _killed(place, step, when)


@pytest.mark.full
@pytest.mark.parametrize(("step", "when"), [one for one in KILLED if one not in KILLED_IN_ANY_RUN])
def test_killed_anywhere_it_ends_once(place: Scene, step: str, when: str) -> None:
    _killed(place, step, when)


def _killed(place: Scene, step: str, when: str) -> None:
    before, request_id = place.others(), place.request()
    for _ in range(2):
        assert place.worker(request_id, step, when) == "KILLED" or (step, when) == ("done", "after")
        assert place.untouched() or place.tombstones() == (1, 1)
        assert place.others() == before
        assert place.requests.row(request_id)["status"] in ("processing", "completed")
        place.at_once()
    said = place.worker(request_id)
    assert said == "DONE" or said.startswith("NotClaimed: the request has ended before"), said
    is_erased(place, request_id)
    assert place.others() == before


def test_names_that_change_during_the_search_are_erased_as_well(
    place: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, request_id, search = place.others(), place.request(), preflight.refuse_uncovered

    def long(state: ErasureState, erasure: RowErasure) -> None:
        search(state, erasure)
        with place.product.owner() as owner:
            owner.execute(
                "UPDATE creators SET email = 'new@example.org', handle = 'new.handle' WHERE id = %s",
                (place.who,),
            )

    monkeypatch.setattr(preflight, "refuse_uncovered", long)
    erase(place, request_id)
    is_erased(place, request_id)
    assert place.others() == before


@pytest.mark.parametrize("forgetful", ["ops", "product"])
@pytest.mark.full
def test_what_one_database_has_forgotten_the_other_knows(place: Scene, forgetful: str) -> None:
    """As after a restore to a moment before: the account, which says who it was, is erased."""
    before, request_id = place.others(), place.request()
    assert place.worker(request_id, "rows", "after") == "KILLED"
    assert place.rows_of() == 0
    forget(place, forgetful)
    place.at_once()
    assert place.worker(request_id) == "DONE"
    is_erased(place, request_id)
    assert place.others() == before


def test_what_both_databases_have_forgotten_is_not_called_erased(place: Scene) -> None:
    request_id = place.request()
    assert place.worker(request_id, "rows", "after") == "KILLED"
    forget(place, "ops")
    forget(place, "product")
    for _ in range(2):
        place.at_once()
        said = place.worker(request_id)
        assert said.startswith("CheckFailed: the erasure"), said
        assert "is known no more" in said
    assert place.requests.row(request_id)["status"] == "processing"
    assert place.ops_count("gdpr_certificates") == 0


def forget(place: Scene, database: str) -> None:
    if database == "ops":
        with place.requests.database.superuser() as superuser:
            superuser.execute("DELETE FROM gdpr_inventories")
            superuser.execute("DELETE FROM gdpr_sealed_identities")
    else:
        with place.product.eraser() as product:
            product.execute("UPDATE ops_platform.erasures SET identity = NULL")


def test_what_is_accepted_is_on_the_certificate(place: Scene) -> None:
    with place.product.owner() as owner:
        owner.execute("CREATE TABLE minutes (id int PRIMARY KEY, body text)")
        owner.execute("INSERT INTO minutes VALUES (1, %s)", (f"by {place.identity.values['email']}",))
    file = place.settings.config_dir / "data_map.yaml"
    text = file.read_text(encoding="utf-8").replace(
        "views:\n",
        "  minutes: {purpose: Minutes., retention: For ever., plain: [id, body]}\n"
        "accepted: [{place: minutes.body, because: The law keeps them.}]\nviews:\n",
        1,
    )
    file.write_text(text, encoding="utf-8")
    request_id = place.request()
    erase(place, request_id)
    found = json.loads(place.ledger.get(f"certificates/{request_id}.json"))["certificate"]
    assert found["accepted"] == [{"place": "minutes.body", "because": "The law keeps them.", "rows": 1}]
    assert place.residue() == ["minutes.body"]


@pytest.mark.full
def test_what_was_removed_by_a_killed_attempt_is_on_the_certificate(place: Scene) -> None:
    request_id = place.request()
    assert place.worker(request_id, "objects", "before") == "KILLED"
    # As if it had been killed in the middle.
    place.media.delete_versions(place.media.versions(f"creators/{place.who}/"))
    place.at_once()
    assert place.worker(request_id) == "DONE"
    done = pipeline.outcome(place.requests.worker, request_id)
    assert done is not None
    [media] = [one for one in done.effects if one.place == "media/creators/{id}/"]
    assert (media.before, media.changed, media.after) == (3, 3, 0)


@pytest.mark.full
def test_who_goes_on_using_the_product_is_erased_all_the_same(place: Scene) -> None:
    request_id = place.request()
    assert place.worker(request_id, "verification", "before") == "KILLED"
    place.media.put(f"creators/{place.who}/new.jpg", b"new")
    place.cache.set_many({f"creator:{place.who}:page": "new"})
    place.at_once()
    assert place.worker(request_id) == "DONE"
    is_erased(place, request_id)


def test_an_export_under_way_is_waited_for(place: Scene) -> None:
    """Its archive would come after everything was removed, and be sent to whom we say is erased."""
    export = place.requests.make(place.who, "export").request.request_id
    place.requests.verify(export, place.requests.token(export))
    request_id = place.request()
    with work.claimed(place.ops_url, export, "export", "run", lambda: T0), pytest.raises(work.NotYet):
        erase(place, request_id)
    assert place.untouched()
    place.at_once()
    assert place.worker(request_id) == "DONE"
    is_erased(place, request_id)
    assert place.requests.row(export)["status"] == "failed"


@pytest.mark.full
def test_who_is_renamed_meanwhile_is_erased_by_both_names(place: Scene) -> None:
    """What the first look wrote down is not all that there is to be looked for."""
    request_id = place.request()
    assert place.worker(request_id, "objects", "after") == "KILLED"
    with place.product.owner() as owner:
        owner.execute(
            "UPDATE creators SET handle = 'renamed.person', email = 'renamed@example.org' WHERE id = %s",
            (place.who,),
        )
        owner.execute(
            "INSERT INTO audit_logs (subject_email, action, message) VALUES ('renamed@example.org', 'x', 'y')"
        )
    place.cache.set_many({"handle:renamed.person": "x"})
    place.at_once()
    assert place.worker(request_id) == "DONE"
    is_erased(place, request_id)
    assert sum(1 for _ in place.cache.keys("handle:renamed")) == 0
    with place.product.eraser() as product:
        found = residue.scan(product, catalogue.read(product), ["renamed.person", "renamed@example.org"])
    assert found == []


def test_a_canary_in_a_column_that_the_map_calls_plain_keeps_it_from_beginning(place: Scene) -> None:
    with place.product.owner() as owner:
        owner.execute(
            "UPDATE posts SET metadata = jsonb_set(metadata, '{tags}', to_jsonb(ARRAY[%s])) "
            "WHERE id = (SELECT min(id) FROM posts WHERE creator_id = %s)",
            (place.identity.values["email"], place.neighbour),
        )
    request_id = place.request()
    for attempts in (1, 2):
        with pytest.raises(CheckFailed, match=r"posts\.metadata \(1 rows;"):
            erase(place, request_id)
        row = place.requests.row(request_id)
        assert (row["status"], row["progress"], row["attempts"]) == ("processing", "preflight", attempts)
        assert place.untouched()
        assert place.tombstones() == (0, 0)
        place.requests.worker.execute("UPDATE gdpr_requests SET next_attempt_at = NULL")
    assert place.ops_count("gdpr_certificates") == 0
    with place.product.owner() as owner:
        owner.execute(
            "UPDATE posts SET metadata = metadata - 'tags' WHERE creator_id = %s", (place.neighbour,)
        )
    place.at_once()
    erase(place, request_id)
    is_erased(place, request_id)


def test_nothing_is_destroyed_under_a_legal_hold_or_with_a_map_that_does_not_fit(place: Scene) -> None:
    request_id = place.request()
    of = SubjectKey(place.context().term.stanza, "creator", str(place.who), "uuid")
    with place.requests.worker.transaction():
        hold = legal_holds.place(place.requests.worker, of, "a claim", "me", T0)
    with pytest.raises(legal_holds.Held):
        erase(place, request_id)
    assert place.untouched()
    assert place.tombstones() == (0, 0)
    legal_holds.release(place.requests.worker, hold.id, "me", T0)
    with place.product.owner() as owner:
        owner.execute("ALTER TABLE profiles ADD COLUMN shoe_size text")
    place.at_once()
    with pytest.raises(CheckFailed, match="shoe_size"):
        erase(place, request_id)
    assert place.untouched()
    assert place.tombstones() == (0, 0)


def test_letters_that_have_not_left_are_waited_for(place: Scene) -> None:
    with place.requests.database.superuser() as superuser:
        superuser.execute("DROP TRIGGER letters_leave ON mail_outbox")
    request_id = place.request()
    with pytest.raises(work.NotYet, match="Newsletter service"):
        erase(place, request_id, replace(place.context(), letter_seconds=0.0))
    row = place.requests.row(request_id)
    assert (row["status"], row["attempts"]) == ("processing", 0)
    assert place.ops_count("gdpr_certificates") == 0
    place.requests.sent()
    place.at_once()
    erase(place, request_id)
    is_erased(place, request_id)


@pytest.mark.full
def test_an_export_that_is_being_written_is_waited_for(place: Scene) -> None:
    export = place.requests.make(place.who, "export").request.request_id
    place.requests.verify(export, place.requests.token(export))
    request_id = place.request()
    with work.claimed(place.ops_url, export, "export", "run", lambda: T0):
        with pytest.raises(work.NotYet, match="export"):
            erase(place, request_id)
        assert place.objects(place.who) > 0
        assert place.rows_of() > 0
    place.at_once()
    erase(place, request_id)
    assert place.rows_of() == 0
    assert place.requests.row(export)["outcome"] == "cancelled"


@pytest.mark.full
def test_a_new_request_finishes_what_an_abandoned_one_began(place: Scene) -> None:
    first = place.request()
    assert place.worker(first, "rows", "after") == "KILLED"
    place.requests.claim(first, "failed", "error")
    second = place.request()
    erase(place, second)
    assert sum(1 for _ in place.cache.keys("handle:")) == 0, "the name was known to the first one alone"
    assert place.residue() == []
    assert place.ops_count("gdpr_inventories") == 0
    assert certificates.find(place.requests.worker, second) is not None
    assert place.requests.row(second)["status"] == "completed"


def test_a_subject_without_rows_is_certified_too(place: Scene) -> None:
    request_id = place.request()
    erase(place, request_id)
    again = place.request()
    erase(place, again)
    assert place.requests.row(again)["status"] == "completed"


@pytest.mark.full
@pytest.mark.parametrize("role", ["ops_eraser", "ops_worker"])
def test_a_database_that_goes_away_at_any_step_is_no_end(place: Scene, role: str) -> None:
    """The product's (ops_eraser) or the platform's own (ops_worker): sessions are ended, as by a restart."""
    before, request_id = place.others(), place.request()
    url = place.ops_url
    cluster = place.product.cluster if role == "ops_eraser" else place.requests.database.cluster

    def attempt(step: str) -> None:
        def at(reached: str, when: str) -> None:
            if (reached, when) == (step, "before"):
                with cluster.superuser() as superuser:
                    superuser.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s "
                        "AND application_name LIKE 'ops-platform %%'",
                        (role,),
                    )

        work_on(url, request_id, place.context, at=at)

    for step in STEPS:
        with contextlib.suppress(psycopg.OperationalError, Unavailable, work.NotClaimed):
            attempt(step)
        assert place.untouched() or place.tombstones() == (1, 1)
        with postgres.session(place.ops_url) as ops:
            ops.execute("UPDATE gdpr_requests SET next_attempt_at = NULL, attempts = 0")
    with contextlib.suppress(work.NotClaimed):
        erase(place, request_id)
    is_erased(place, request_id)
    assert place.others() == before


def test_nothing_is_destroyed_while_the_ledger_is_away(place: Scene) -> None:
    request_id = place.request()
    settings = place.settings.model_copy(
        update={"s3": place.settings.s3.model_copy(update={"endpoint_url": "https://127.0.0.1:9"})}
    )
    opened = replace(place.context(), ledger=object_store.from_settings(settings, "ledger"))
    with pytest.raises(Unavailable):
        erase(place, request_id, opened)
    assert place.untouched()
    assert place.tombstones() == (0, 0)
    assert "OPS_S3_ENDPOINT_URL" in str(place.requests.row(request_id)["failure"])
    place.at_once()
    erase(place, request_id)
    is_erased(place, request_id)


@pytest.mark.full
@pytest.mark.parametrize("store", ["redis", "s3"])
def test_a_store_that_goes_away_at_any_step_is_no_end(place: Scene, store: str) -> None:
    """Redis or S3 breaks off before a step and stays away for the rest of the attempt."""
    before, request_id = place.others(), place.request()
    failed = set()
    for step in STEPS:
        settings, relay = _through_a_relay(place.settings, store)
        opened = erasure_context.open_context(settings, backup_term.product_backup_term(settings))

        def context(opened: erasure_context.ErasureContext = opened) -> erasure_context.ErasureContext:
            return opened

        def at(reached: str, when: str, step: str = step, relay: Relay = relay) -> None:
            # Not every step is reached again: what an earlier attempt has finished is passed over.
            if when == "before" and STEPS.index(reached) >= STEPS.index(step):
                relay.stop()

        said = ""
        try:
            work_on(place.ops_url, request_id, context, at=at)
        except work.NotClaimed:
            said = ""
        except Unavailable as error:
            failed.add(step)
            said = str(error)
        finally:
            relay.stop()
        assert place.untouched() or place.tombstones() == (1, 1)
        assert place.others() == before
        assert said in str(place.requests.row(request_id)["failure"])
        place.at_once()
    assert {"preflight", {"redis": "cache", "s3": "objects"}[store], "verification"} <= failed
    with contextlib.suppress(work.NotClaimed):
        erase(place, request_id)
    is_erased(place, request_id)


def _through_a_relay(settings: Settings, store: str) -> tuple[Settings, Relay]:
    url = urlsplit(str(settings.redis_url if store == "redis" else settings.s3.endpoint_url))
    assert url.hostname is not None
    assert url.port is not None
    relay = Relay((url.hostname, url.port))
    there = url._replace(netloc=f"127.0.0.1:{relay.port}").geturl()
    if store == "redis":
        return settings.model_copy(update={"redis_url": there}), relay
    s3 = settings.s3.model_copy(update={"endpoint_url": there})
    return settings.model_copy(update={"s3": s3}), relay


def test_certificates_of_before_a_rotation_of_the_key_are_known(place: Scene) -> None:
    private, old = audit_keys.generate()
    both = f"{place.settings.gdpr.public_key}\n{old}"
    gdpr = place.settings.gdpr.model_copy(update={"public_key": both})
    settings = place.settings.model_copy(update={"gdpr": gdpr})
    known = erasure_context.open_context(settings, backup_term.product_backup_term(settings)).public_keys
    assert known is not None
    assert known.knows(audit_keys.SigningKey(private).key_id)
