"""What a verification reads by is its own: no other process writes over it, and nothing of it stays."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from ops_platform.backup.proof import rolling
from ops_platform.backup.stanza.context import open_context
from ops_platform_tests.backup.shapes import two_repositories

HOUR = 3600


@pytest.fixture(autouse=True)
def without_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.chown", lambda *_: None)


def test_a_rotated_key_changes_nothing_for_a_run_under_way(tmp_path: Path) -> None:
    keys = ("old", "new")
    contexts = [
        open_context(two_repositories(tmp_path, OPS_S3_BACKUP_READER_ACCESS_KEY_ID=key), "product")
        for key in keys
    ]
    with ExitStack() as stack:
        files = [
            stack.enter_context(rolling.opened_reader(context)).pgbackrest.config_file for context in contexts
        ]
        for key, file in zip(keys, files, strict=True):
            assert f"repo1-s3-key={key}\n" in file.read_text(encoding="utf-8")
            assert file.stat().st_mode & 0o777 == 0o600
    assert not [file for file in files if file.exists()]


def test_files_of_killed_runs_go_and_no_others(tmp_path: Path) -> None:
    context = open_context(two_repositories(tmp_path), "product")
    directory = context.paths.config_file.parent
    ages = {
        "verify-product.conf": 8 * 24 * HOUR,
        "verify-product-0123456789ab.conf": 8 * 24 * HOUR,
        "verify-product-ba9876543210.conf": HOUR,
        "verify-product-two-0123456789ab.conf": 8 * 24 * HOUR,
    }
    for name, age in ages.items():
        file = directory / name
        file.write_text("a key", encoding="utf-8")
        moment = file.stat().st_mtime - age
        os.utime(file, (moment, moment))
    with rolling.opened_reader(context):
        pass
    assert {file.name for file in directory.glob("verify-*")} == {
        "verify-product-ba9876543210.conf",
        "verify-product-two-0123456789ab.conf",
    }
