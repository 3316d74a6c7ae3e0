"""docs/audit.md promises that a seal can be checked without this code; its commands are run here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ops_platform.audit.seal import object_key
from ops_platform_tests.audit.rig import Rig

pytestmark = pytest.mark.services

GUIDE = Path(__file__).parents[2] / "docs" / "audit.md"


def commands(containing: str) -> str:
    """The one shell block of the guide that contains a text."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    [block] = [text for text in blocks if containing in text]
    return block


def sh(script: str, directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-euc", script],
        cwd=directory,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_seal_is_checked_with_openssl_psql_and_a_few_lines(rig: Rig, tmp_path: Path) -> None:
    rig.events(5)
    seal = rig.seal()
    assert seal is not None
    (tmp_path / "seal-7").write_bytes(rig.store.get(object_key(seal.number)))
    (tmp_path / "public.pem").write_text(rig.public_pem)

    signature = commands("pkeyutl")
    assert "Verified Successfully" in sh(signature, tmp_path).stdout
    assert sh(commands("bit_length"), tmp_path).stdout.strip() == seal.merkle_root
    leaves = commands("psql").replace("'100'", f"'{seal.from_xid}'").replace("'200'", f"'{seal.to_xid}'")
    database = {"OPS_DATABASE_URL": rig.database.url()}
    same = sh(leaves, tmp_path, **database)
    assert (same.returncode, same.stdout) == (0, ""), same.stderr

    rig.attack("UPDATE audit_events SET actor = 'x' WHERE id = 3")
    assert re.search(r"^> 3 ", sh(leaves, tmp_path, **database).stdout, re.MULTILINE)
    altered = (tmp_path / "seal-7").read_text().replace('"rows":5', '"rows":4')
    (tmp_path / "seal-7").write_text(altered)
    assert sh(signature, tmp_path).returncode != 0

    rig.events(1)
    following = rig.seal()
    assert following is not None
    (tmp_path / "seal-7").write_bytes(rig.store.get(object_key(seal.number)))
    digest = sh(f"{signature}\nopenssl dgst -sha256 document", tmp_path).stdout
    assert digest.strip().endswith(following.previous)
