"""What ``make sbom`` writes is a valid bill of materials of all that is locked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops_platform_tests.lock_file import ROOT, entries

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(None if error is None else "refused by the schema")
"""


def refused_by_the_schema(text: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE],
        input=text,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "build" / "tools")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 or "refused by the schema" in done.stderr, done.stderr
    return done.returncode != 0


def test_the_bill_of_materials_is_valid_and_names_all_that_is_locked() -> None:
    subprocess.run(["make", "-C", str(ROOT), "sbom"], check=True, capture_output=True, timeout=500)
    for bill, lock in (("sbom-production", "requirements-production.lock"), ("sbom", "requirements.lock")):
        text = Path(ROOT / "build" / f"{bill}.json").read_text(encoding="utf-8")
        told = json.loads(text)
        assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
        assert told["metadata"]["component"]["name"] == "ops-platform"
        locked = {(name, pin.version) for name, pins in entries(lock).items() for pin in pins}
        assert {(one["name"], one["version"]) for one in told["components"]} == locked
        for one in told["components"]:
            assert one["purl"].startswith("pkg:pypi/")
            assert [len(some["content"]) for some in one["externalReferences"][0]["hashes"]].count(64), one[
                "name"
            ]
    # All components would take the validator long; make has validated these files as a whole.
    told["components"] = told["components"][:2]
    told["dependencies"] = []
    assert not refused_by_the_schema(json.dumps(told))
    told["components"][0]["type"] = "thing"
    assert refused_by_the_schema(json.dumps(told))
