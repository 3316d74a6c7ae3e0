"""What is installed is whole: its pins, its data, its version."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ops_platform
from ops_platform_tests.lock_file import ROOT, entries

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def named(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(one).name) for one in requirements}


@pytest.mark.parametrize(
    ("lock", "with_extras"),
    [
        ("requirements-production.lock", ()),
        ("requirements-celery.lock", ("celery",)),
        ("requirements-kubernetes.lock", ("kubernetes",)),
    ],
)
def test_production_installs_what_was_tested_and_no_more(lock: str, with_extras: tuple[str, ...]) -> None:
    everything, production = entries("requirements.lock"), entries(lock)
    for name, pins in production.items():
        tested = {(one.version, one.hashes) for one in everything[name]}
        assert {(one.version, one.hashes) for one in pins} <= tested, name
    extras = PROJECT["project"]["optional-dependencies"]
    needed = named(PROJECT["project"]["dependencies"])
    assert needed <= production.keys()
    for extra in ("celery", "kubernetes", "local", "test"):
        here = named(extras[extra]) & production.keys()
        assert here == (named(extras[extra]) if extra in with_extras else set())


@pytest.mark.parametrize(
    "name",
    [
        "requirements.lock",
        "requirements-production.lock",
        "requirements-celery.lock",
        "requirements-kubernetes.lock",
    ],
)
def test_each_pin_has_a_hash_and_fits_what_is_asked_for(name: str) -> None:
    pins = entries(name)
    assert [package for package, found in pins.items() if not all(one.hashes for one in found)] == []
    extras = PROJECT["project"]["optional-dependencies"]
    for text in (*PROJECT["project"]["dependencies"], *extras["build"]):
        asked = Requirement(text)
        for found in pins[canonicalize_name(asked.name)]:
            assert asked.specifier.contains(found.version), f"{text}: make lock"


def test_the_version_is_said_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "ops_platform.__version__"}
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{ops_platform.__version__}]" in changes or "## [Unreleased]" in changes


def test_each_file_of_the_package_is_in_the_wheel() -> None:
    package = ROOT / "ops_platform"
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["ops_platform"]
    carried = {path for pattern in patterns for path in package.glob(pattern)}
    left_out = [
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path not in carried
    ]
    assert left_out == []


FROM_THE_WHEEL = """
import sys
import ops_platform, ops_platform.definitions
from ops_platform import files
from ops_platform.cli import main
assert ops_platform.__file__.startswith(sys.argv[1]), ops_platform.__file__
for name in ("sql/ops", "sql/product", "sql/roles", "dashboards/prometheus", "dagster.yaml"):
    assert str(files.carried(name)).startswith(sys.argv[1]), name
assert len(list(files.default_config_dir().glob("objectives/*.yaml"))) >= 5
sys.argv[1:] = ["--help"]
main()
"""


@pytest.mark.full
def test_the_wheel_works_away_from_the_checkout(tmp_path: Path) -> None:
    """Made from the source archive, as an index would offer both."""
    made, there = tmp_path / "dist", tmp_path / "there"
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    (wheel,) = made.glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--quiet",
        "--target",
        str(there),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(there)}
    program = [sys.executable, "-c", FROM_THE_WHEEL, str(there)]
    shown = subprocess.run(
        program, env=clean, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("Usage: ops-platform")
