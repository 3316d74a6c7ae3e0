"""Who may import whom, who reads the environment, and what importing may do: nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

import ops_platform

PACKAGE = Path(ops_platform.__file__).parent

DOMAINS = {"backup", "dr", "slo", "gdpr", "housekeeping"}
FACES = {"assets", "jobs", "schedules", "sensors", "checks", "definitions"}
"""Modules of a domain that speak Dagster; its other modules are named after nouns and do not."""
BASE = {"settings", "environment", "errors", "files", "lined_yaml"}
USES = {"dr": {"backup", "gdpr"}}
"""The nouns of other domains that a domain may use."""

ROOMS = BASE | {"clients", "audit", "resources", "definitions", "agent", "api", "cli", "local", "grafana"}
SPEAKS_DAGSTER = {"resources", "definitions"}

DEFERRED = {("ops_platform.backup.stanza", "ops_platform.backup.stanza_file")}
"""Imports inside a function that close a circle on purpose."""

# A room may import itself, the base, and these.
# "nouns" and "faces" stand for those of any domain.
MAY_IMPORT = {
    "settings": set[str](),
    "environment": set[str](),
    "errors": set[str](),
    "files": set[str](),
    "lined_yaml": set[str](),
    "clients": set[str](),
    "audit": {"clients"},
    "nouns": {"nouns", "audit", "clients"},
    "resources": {"nouns", "audit", "clients"},
    "faces": {"nouns", "resources", "audit", "clients"},
    "definitions": {"faces", "nouns", "resources", "audit", "clients"},
    "agent": {"nouns", "audit", "clients"},
    "api": {"nouns", "audit", "clients"},
    # Writes JSON; nothing imports it, for it needs a package that no installation has.
    "grafana": set[str](),
    "local": {"nouns", "audit", "clients"},
    "cli": {"local", "faces", "nouns", "resources", "audit", "clients"},
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "ops_platform", include_external_packages=True, cache_dir=None, exclude_type_checking_imports=True
    )


def place(module: str) -> tuple[str, str | None]:
    """(room, domain) of a module; the domain only for faces and nouns."""
    parts = module.split(".")[1:]
    if not parts:
        return "errors", None  # the package itself, which is empty
    if parts[0] in DOMAINS:
        return ("faces" if len(parts) > 1 and parts[1] in FACES else "nouns"), parts[0]
    assert parts[0] in ROOMS, f"{module} is in no room of the house: see MAY_IMPORT"
    return parts[0], None


def allowed(importer: str, imported: str) -> bool:
    room, domain = place(importer)
    other_room, other_domain = place(imported)
    if other_room in BASE or (room, domain) == (other_room, other_domain):
        return True
    if other_room not in MAY_IMPORT[room]:
        return False
    if domain is not None and other_domain is not None and domain != other_domain:
        return other_room == "nouns" and other_domain in USES.get(domain, set())
    return True


def internal_imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for module in graph.modules:
        if module.split(".")[0] == "ops_platform":
            for imported in graph.find_modules_directly_imported_by(module):
                if imported.split(".")[0] == "ops_platform":
                    yield module, imported


def test_imports_point_one_way(graph: grimp.ImportGraph) -> None:
    wrong = [f"{module} -> {imported}" for module, imported in internal_imports(graph)
             if not allowed(module, imported)]  # fmt: skip
    assert wrong == []


def test_the_rule_has_teeth() -> None:
    assert allowed("ops_platform.cli.backup", "ops_platform.local.stack")
    assert allowed("ops_platform.dr.exercise", "ops_platform.backup.wal")
    for importer, imported in [
        ("ops_platform.clients.s3", "ops_platform.backup.wal"),
        ("ops_platform.backup.wal", "ops_platform.resources"),
        ("ops_platform.backup.wal", "ops_platform.backup.jobs"),
        ("ops_platform.backup.wal", "ops_platform.gdpr.erasure"),
        ("ops_platform.dr.jobs", "ops_platform.backup.jobs"),
        ("ops_platform.audit.ledger", "ops_platform.backup.wal"),
        ("ops_platform.agent.loops", "ops_platform.local.stack"),
        ("ops_platform.definitions", "ops_platform.local.stack"),
        ("ops_platform.local.stack", "ops_platform.cli.stack"),
        ("ops_platform.settings", "ops_platform.clients.postgres"),
    ]:
        assert not allowed(importer, imported), (importer, imported)


def test_only_faces_and_resources_speak_dagster(graph: grimp.ImportGraph) -> None:
    speakers = set()
    for external in graph.modules:
        if external.split(".")[0].startswith("dagster"):
            speakers |= graph.find_modules_that_directly_import(external)
    wrong = [module for module in speakers if place(module)[0] not in SPEAKS_DAGSTER | {"faces"}]
    assert speakers
    assert wrong == []


def test_faces_raise_without_a_cause() -> None:
    """Dagster stores the text of causes, too, and those of PostgreSQL's errors quote rows."""
    wrong = []
    for path in PACKAGE.glob("*/*.py"):
        if path.parent.name in DOMAINS and path.stem in FACES:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Raise) and isinstance(node.cause, ast.Name):
                    wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert wrong == []


def test_modules_do_not_import_each_other_in_circles(graph: grimp.ImportGraph) -> None:
    imports = {module: set[str]() for module in graph.modules}
    for module, imported in internal_imports(graph):
        if (module, imported) not in DEFERRED:
            imports[module].add(imported)
    while leaves := [module for module, targets in imports.items() if not targets]:
        for leaf in leaves:
            del imports[leaf]
        for targets in imports.values():
            targets.difference_update(leaves)
    assert sorted(imports) == []


def test_only_settings_reads_the_environment() -> None:
    readers = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("environ", "environb", "getenv", "putenv")
                and isinstance(node.value, ast.Name)
                and node.value.id == "os"
            ):
                readers.add(str(path.relative_to(PACKAGE)))
    assert readers == {"settings.py"}


WATCHER = """
import os, sys
{before}
FORBIDDEN = {
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen",
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.mkdir", "os.rename",
    "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.utime",
    "shutil.move", "tempfile.mkstemp", "tempfile.mkdtemp", "sqlite3.connect",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
seen = []
def watch(event, arguments):
    if event in FORBIDDEN:
        seen.append((event, str(arguments)[:200]))
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        seen.append((event, str(arguments[0])))
sys.addaudithook(watch)
{action}
print("\\n".join(map(str, seen)))
"""


# Their own imports run "file", open /dev/null and bind ::1 to see what the machine can do.
LIBRARIES = "import dagster, boto3"


def watched(action: str, before: str = LIBRARIES) -> list[str]:
    """What ``action`` did that it must not, in a fresh interpreter with an empty environment."""
    program = WATCHER.replace("{before}", before).replace("{action}", action)
    ended = subprocess.run(
        [sys.executable, "-B", "-c", program],
        env={},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split("\n")[:-1] if ended.stdout.strip() else []


def test_importing_any_module_does_nothing_outside() -> None:
    """The front door first, as a code server does; then each module that it has not imported yet."""
    names = ["ops_platform.definitions"]
    names += [
        ".".join(("ops_platform", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    ]
    assert watched(f"import importlib\nfor name in {names!r}: importlib.import_module(name)") == []


def test_the_watcher_sees() -> None:
    seen = watched(
        "import tempfile, socket\ntempfile.mkdtemp()\nsocket.getaddrinfo('127.0.0.1', 1)", before=""
    )
    assert len(seen) >= 2
