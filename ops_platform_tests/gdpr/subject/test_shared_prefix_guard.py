"""Names that lead to somebody else's objects or keys stop an erasure before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops_platform.errors import CheckFailed
from ops_platform.gdpr.map_check import all_checks as map_check
from ops_platform.gdpr.subject import shared_prefix_guard as places
from ops_platform.gdpr.subject.identity import Identity
from ops_platform_tests.gdpr.erasing import Product, map_of

pytestmark = pytest.mark.services

MAP = """
subject: {kind: user, table: users, key: id, email: email, identifiers: [handle]}
tables:
  users: {personal: [email, handle], rows: [{role: account, column: id, erase: delete}]}
objects:
  - {bucket: media, prefix: "users/{handle}/", purpose: x, export: false}
  - {bucket: media, prefix: "mails/{email}/{handle}/", purpose: x, export: false}
  - {bucket: media, prefix: "mails/{email}/{id}/", purpose: x, export: false}
cache: [{pattern: "h:{handle}:*", purpose: x}, {pattern: "{handle}", purpose: x}]
"""


@pytest.mark.parametrize(
    ("key", "handle", "refused"),
    [
        (1, "anna", "followed by"),
        (2, "anna/photos", "holds '/'"),
        (1, "ben:x", "holds ':'"),
        (3, "ben", None),
        # Somebody else has it at the same time.
        (4, "ben", "another user has the same handle"),
        # The address alone is no prefix: that two have it is no matter.
        (5, "ina", None),
        (4, "an", None),
    ],
)
def test_a_name_that_is_a_folder_of_anothers(
    bare_product: Product, tmp_path: Path, key: int, handle: str, refused: str | None
) -> None:
    with bare_product.owner() as owner:
        owner.execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text, handle text);"
            "INSERT INTO users VALUES (1, NULL, 'anna'), (2, NULL, 'anna/photos'), (3, NULL, 'ben'),"
            "(4, NULL, NULL), (5, 'i@x.example', 'ina'), (6, 'i@x.example', 'joe')"
        )
        data_map = map_of(tmp_path, MAP)
        who = Identity({"id": key, "handle": handle} | ({"email": "i@x.example"} if key == 5 else {}))
        if refused is None:
            places.refuse_shared(owner, data_map, who)
            return
        with pytest.raises(CheckFailed, match=refused) as error:
            places.refuse_shared(owner, data_map, who)
        assert handle not in str(error.value)


def test_a_key_that_two_can_have_is_no_key(bare_product: Product, tmp_path: Path) -> None:
    """Both would be erased."""
    with bare_product.owner() as owner:
        owner.execute("CREATE TABLE users (id int, email text, handle text); CREATE INDEX ON users (id)")
        with owner.transaction():
            findings = map_check.check(owner, map_of(tmp_path, MAP))
        assert any(one.where.endswith("users.id") and one.code == "no-key" for one in findings)
        owner.execute("CREATE UNIQUE INDEX ON users (id)")
        with owner.transaction():
            findings = map_check.check(owner, map_of(tmp_path, MAP))
        assert not any(one.where.endswith("users.id") for one in findings)
