"""From a draft to a passing erasure with every guess confirmed, on a schema with the shapes of real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform_tests.gdpr.erasing import Product
from ops_platform_tests.gdpr.schema_trial.trial import PERSON, Trial

pytestmark = [pytest.mark.services, pytest.mark.full]

SCHEMA = """
CREATE TABLE people (id bigint PRIMARY KEY, username text UNIQUE, full_name text);
CREATE TABLE logins (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people ON DELETE CASCADE,
                     email text NOT NULL UNIQUE, invite_id bigint, app_id bigint, last_ip inet);
CREATE TABLE invites (id bigint PRIMARY KEY, login_id bigint NOT NULL REFERENCES logins ON DELETE CASCADE,
                      code text);
CREATE TABLE apps (id bigint PRIMARY KEY, login_id bigint NOT NULL REFERENCES logins ON DELETE CASCADE,
                   name text);
ALTER TABLE logins ADD FOREIGN KEY (invite_id) REFERENCES invites ON DELETE SET NULL;
ALTER TABLE logins ADD FOREIGN KEY (app_id) REFERENCES apps ON DELETE SET NULL;
CREATE TABLE clubs (id bigint PRIMARY KEY, point_of_contact_id bigint REFERENCES people, title text);
CREATE TABLE rooms (id bigint PRIMARY KEY, club_id bigint NOT NULL REFERENCES clubs, title text);
CREATE TABLE memberships (id bigint PRIMARY KEY, club_id bigint NOT NULL REFERENCES clubs,
                          person_id bigint NOT NULL REFERENCES people);
CREATE TABLE posts (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people ON DELETE CASCADE,
                    room_id bigint NOT NULL REFERENCES rooms, parent_id bigint REFERENCES posts, body text);
CREATE TABLE reactions (id bigint PRIMARY KEY, post_id bigint NOT NULL REFERENCES posts ON DELETE CASCADE,
                        person_id bigint NOT NULL REFERENCES people ON DELETE CASCADE);
CREATE TABLE notes (id bigint PRIMARY KEY, author_id bigint NOT NULL REFERENCES people ON DELETE CASCADE,
                    about_id bigint NOT NULL REFERENCES people ON DELETE CASCADE, body text);
CREATE TABLE files (id bigint PRIMARY KEY, record_type text NOT NULL, record_id bigint NOT NULL, name text);
CREATE TABLE payments (id bigint PRIMARY KEY, payer_id bigint NOT NULL, cents bigint);
"""
LINKS = {
    "person_id": "people",
    "author_id": "people",
    "about_id": "people",
    "point_of_contact_id": "people",
    "payer_id": "people",
    "parent_id": "posts",
}


def test_a_draft_with_its_guesses_confirmed_erases_one_person_and_nobody_else(
    bare_product: Product, tmp_path: Path
) -> None:
    said: list[str] = []
    judgement = Trial(SCHEMA, "people", "posts", links=LINKS, say=said.append).run(bare_product, tmp_path)
    assert judgement is not None, "\n".join(said)
    assert judgement.wrong == ()
    assert 10 < judgement.changed < judgement.rows / 2
    with bare_product.cluster.superuser(bare_product.name) as superuser:
        [(people, clubs, contacts)] = superuser.execute(
            "SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM clubs), "
            f"(SELECT count(*) FROM clubs WHERE point_of_contact_id = {PERSON})"
        ).fetchall()
    # A club stays without its contact, and so do its rooms.
    assert (people, clubs, contacts) == (7, 8, 0)
