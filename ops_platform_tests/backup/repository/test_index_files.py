"""The checksum that pgBackRest writes into its index: right, and wrong when anything is another."""

from __future__ import annotations

import pytest

from ops_platform.backup.repository.index_files import has_right_checksum

# archive.info as pgBackRest 2.45 wrote it for a stanza of a test that is long gone.
TEXT = """[backrest]
backrest-format=5
backrest-version="2.45"

[cipher]
cipher-pass="kaVh+xCLqMXRvPpfsO2ckOgK5atg5fdqRqaOle9mApFqbugd+zE04KhIaWYz+QlT"

[db]
db-id=1
db-system-id=7713873710635373565
db-version="15"

[db:history]
1={"db-id":7713873710635373565,"db-version":"15"}

[backrest]
backrest-checksum="ac2f5d6e777e7900691edbb9ac5010be96d1c0da"
"""


def test_the_checksum_of_pgbackrest_is_found_right() -> None:
    assert has_right_checksum(TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.replace("db-id=1", "db-id=2"),
        TEXT.replace('db-version="15"\n\n', "\n"),
        TEXT[: len(TEXT) // 2],
        TEXT.replace("ac2f", "ac2e"),
        TEXT.partition("[backrest]\nbackrest-checksum")[0],
    ],
)
def test_anything_else_is_wrong(text: str) -> None:
    assert not has_right_checksum(text)
