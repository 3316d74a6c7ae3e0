"""Who may import whom, who reads the environment, and what importing may do: nothing."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grimp
import pytest

from ops_platform_tests import errors_rule, sources
from ops_platform_tests.sources import PACKAGE

BASE = {"settings", "environment", "errors", "files", "lined_yaml", "markdown", "runbooks"}
"""Modules of the front hall: everybody may use them."""
DUTIES = {"backup", "dr", "slo", "gdpr", "housekeeping"}
USES = {"dr": {"backup", "gdpr"}}
"""The other duties that a duty may use."""
BELOW = {
    # A wing may use itself, the front hall, and these.
    "clients": set[str](),
    "audit": {"clients"},
    **{duty: {"audit", "clients"} | USES.get(duty, set()) for duty in DUTIES},
    "defs": DUTIES | {"audit", "clients"},
    "definitions": DUTIES | {"defs", "audit", "clients"},
    # Asks agent and Alertmanager over HTTP: it knows the duties by their figures.
    "gate": {"audit", "clients"},
    "agent": DUTIES | {"audit", "clients", "gate"},
    "api": DUTIES | {"audit", "clients"},
    # In front of Dagster, of which it imports nothing; it shares the API's edge.
    "guard": {"api", "audit", "clients", "gate"},
    # Writes JSON; nothing imports it, for it needs a package that no installation has.
    "grafana": set[str](),
    # Prints YAML.
    "kubernetes": set[str](),
    "local": DUTIES | {"audit", "clients", "guard", "gate"},
    # Data frames for people and notebooks.
    "analysis": {"slo", "clients"},
    "cli": DUTIES | {"local", "defs", "audit", "clients", "analysis", "guard", "gate"},
}
SPEAKS_DAGSTER = {"defs", "definitions"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "ops_platform", include_external_packages=True, cache_dir=None, exclude_type_checking_imports=True
    )


@pytest.fixture(scope="module")
def named_graph() -> grimp.ImportGraph:
    """With imports for types, too: they tie a lower layer to a higher one as others do."""
    return grimp.build_graph("ops_platform", include_external_packages=True, cache_dir=None)


def wing(module: str) -> str:
    """Name the part of the house below ``ops_platform`` that a module belongs to."""
    parts = module.split(".")[1:]
    if not parts:
        return "errors"  # the package itself, which is empty
    assert parts[0] in BASE or parts[0] in BELOW, f"{module} is in no wing of the house: see BELOW"
    return parts[0]


def allowed(importer: str, imported: str) -> bool:
    here, there = wing(importer), wing(imported)
    if here in BASE:
        return there in BASE
    return there == here or there in BASE or there in BELOW[here]


def internal_imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for module in graph.modules:
        if module.split(".")[0] == "ops_platform":
            for imported in graph.find_modules_directly_imported_by(module):
                if imported.split(".")[0] == "ops_platform":
                    yield module, imported


def test_imports_point_one_way(named_graph: grimp.ImportGraph) -> None:
    wrong = [
        f"{module} -> {imported}"
        for module, imported in internal_imports(named_graph)
        if not allowed(module, imported)
    ]
    assert wrong == []


def test_the_rule_has_teeth() -> None:
    assert allowed("ops_platform.cli.backup", "ops_platform.local.stack")
    assert allowed("ops_platform.dr.exercise.runner", "ops_platform.backup.wal")
    assert allowed("ops_platform.defs.dr.jobs", "ops_platform.dr.exercise")
    for importer, imported in [
        ("ops_platform.clients.object_store", "ops_platform.backup.wal"),
        ("ops_platform.backup.wal", "ops_platform.defs.resources"),
        ("ops_platform.backup.wal", "ops_platform.gdpr.erasure"),
        ("ops_platform.gdpr.erasure.pipeline", "ops_platform.backup.stanza"),
        ("ops_platform.audit.ledger", "ops_platform.backup.wal"),
        ("ops_platform.agent.loops", "ops_platform.local.stack"),
        ("ops_platform.agent.loops", "ops_platform.defs.backup"),
        ("ops_platform.definitions", "ops_platform.local.stack"),
        ("ops_platform.local.stack", "ops_platform.cli.stack"),
        ("ops_platform.settings", "ops_platform.clients.postgres"),
    ]:
        assert not allowed(importer, imported), (importer, imported)


def test_only_the_dagster_wing_imports_dagster(named_graph: grimp.ImportGraph) -> None:
    graph = named_graph
    speakers = set()
    for external in graph.modules:
        if external.split(".")[0].startswith("dagster"):
            speakers |= graph.find_modules_that_directly_import(external)
    assert speakers
    assert [module for module in sorted(speakers) if wing(module) not in SPEAKS_DAGSTER] == []


def of_the_dagster_wing() -> list[Path]:
    return [path for path in sources.PATHS if PACKAGE / "defs" in path.parents]


def test_the_dagster_wing_raises_without_a_cause() -> None:
    """Dagster stores the text of causes, too, and those of PostgreSQL's errors quote rows."""
    wrong = []
    for path in of_the_dagster_wing():
        for node in sources.nodes(path):
            # In a handler also what has no cause brings its context along.
            handled = isinstance(node, ast.ExceptHandler) and any(
                isinstance(one, ast.Raise) and one.exc is not None and one.cause is None
                for one in ast.walk(node)
            )
            caused = isinstance(node, ast.Raise) and not (
                node.cause is None or (isinstance(node.cause, ast.Constant) and node.cause.value is None)
            )
            if handled or caused:
                wrong.append(f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}")
    assert wrong == []


def python_files() -> Iterator[Path]:
    return (path for path in sources.PATHS if "safe_errors" not in path.parts)


@pytest.mark.processes
def test_only_safe_errors_words_what_others_raise() -> None:
    wrong = []
    for path in python_files():
        name = ".".join(("ops_platform", *path.relative_to(PACKAGE).with_suffix("").parts))
        found = errors_rule.findings(
            sources.text(path), importlib.import_module(name.removesuffix(".__init__"))
        )
        wrong += [f"{path.relative_to(PACKAGE)}:{line}: {said}" for line, said in found]
    assert wrong == []


def test_whatever_dagster_calls_is_told() -> None:
    """Each op, asset, check and sensor of ours, and each schedule that asks anybody."""
    looked, wrong = 0, []
    for path in of_the_dagster_wing():
        source = sources.text(path)
        looked += len(errors_rule.called_by_dagster(source))
        wrong += [
            f"{path.relative_to(PACKAGE)}: {name}" for name in errors_rule.without_reported_failures(source)
        ]
        wrong += [f"{path.relative_to(PACKAGE)}: {name} asks" for name in errors_rule.asks_outside(source)]
    assert looked >= 25
    assert wrong == []


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Find the modules that import each other in a circle, or lead into one."""
    left = {module: set(targets) - {module} for module, targets in imports.items()}
    while leaves := [module for module, targets in left.items() if not targets & left.keys()]:
        for leaf in leaves:
            del left[leaf]
    return sorted(left)


def test_modules_do_not_import_each_other_in_circles(named_graph: grimp.ImportGraph) -> None:
    """Imports inside functions and for types count: they hide a circle, they do not end it."""
    graph = named_graph
    imports = {module: set[str]() for module in graph.modules}
    for module, imported in internal_imports(graph):
        imports[module].add(imported)
    assert circle(imports) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


BY_NAME = {"import_module", "__import__", "resolve_name", "run_module", "run_path", "pkgutil", "runpy"}


MAY_IMPORT_BY_NAME = re.compile(r"importlib|modules|" + "|".join(sorted(BY_NAME)))
"""A module without any of these names imports none by a string, and need not be parsed."""


def imports_by_name(tree: ast.AST) -> Iterator[int]:
    """Lines that import, or reach, a module by a string: no graph shows it."""
    for node in ast.walk(tree):
        names = {getattr(node, "id", None), getattr(node, "attr", None)}
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            names |= {"import_module"} & {"import_module" for name in names if name == "importlib"}
        is_modules = (
            isinstance(node, ast.Attribute)
            and node.attr == "modules"
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
        )
        if names & BY_NAME or is_modules:
            yield node.lineno  # type: ignore[attr-defined]


def test_no_module_is_imported_by_a_string() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sources.PATHS
        if MAY_IMPORT_BY_NAME.search(sources.text(path))
        for line in imports_by_name(sources.tree(path))
    ]
    assert wrong == []
    for source in ("import importlib", "__import__('x')", "import sys\nsys.modules['x']", "import pkgutil"):
        assert MAY_IMPORT_BY_NAME.search(source)
        assert list(imports_by_name(ast.parse(source)))
    for name in BY_NAME:
        assert MAY_IMPORT_BY_NAME.search(name)


def test_only_settings_reads_the_environment() -> None:
    readers = set()
    for path in sources.PATHS:
        for node in sources.nodes(path) if "env" in sources.text(path) else ():
            # No `from os import environ`, and no `import os as o`.
            names = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
            if isinstance(node, ast.Import) and any(one.name == "os" and one.asname for one in node.names):
                names = {"environ"}
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "os":
                names = {node.attr}
            if names & {"environ", "environb", "getenv", "putenv"}:
                readers.add(str(path.relative_to(PACKAGE)))
    assert readers == {"settings/reader.py"}


WATCHER = """
import os, sys
FORBIDDEN = {
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen",
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.mkdir", "os.rename",
    "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.utime",
    "shutil.move", "tempfile.mkstemp", "tempfile.mkdtemp", "sqlite3.connect",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
seen = []
class Unwatched:
    now = False
    def __enter__(self): Unwatched.now = True
    def __exit__(self, *_): Unwatched.now = False
def watch(event, arguments):
    if Unwatched.now:
        return
    if event in FORBIDDEN:
        seen.append((event, str(arguments)[:200]))
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        seen.append((event, str(arguments[0])))
sys.addaudithook(watch)
{action}
for one in seen: print(one)
"""


def watched(action: str) -> list[str]:
    """What ``action`` prints, then what it did that it must not, in a fresh interpreter with no environment.

    It is not watched while ``Unwatched`` holds.
    """
    ended = subprocess.run(
        [sys.executable, "-B", "-c", WATCHER.replace("{action}", action)],
        env={},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    # Nor does it warn: that would be in the log of every run.
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def test_the_watcher_sees() -> None:
    seen = watched("import tempfile, socket\ntempfile.mkdtemp()\nsocket.getaddrinfo('127.0.0.1', 1)")
    assert len(seen) >= 2


HEAVY = {
    "boto3", "botocore", "cryptography", "fastapi", "httpx", "jwt", "mailbox", "numpy", "pandas",
    "prometheus_client", "psutil", "psycopg_pool", "redis", "rich", "s3transfer", "smtplib", "sqlparse",
    "starlette", "urllib3", "uvicorn", "yoyo",
}  # fmt: skip
"""Packages that take long to load, and are imported where they are used."""
WORK = {
    "ops_platform.dr.exercise.runner",
    "ops_platform.gdpr.row_erasure.engine",
    "ops_platform.gdpr.export.content",
    "ops_platform.slo.counting.window",
}
"""Modules of ours that stand for the many that only a run works with."""


@dataclass(frozen=True)
class Imports:
    """What came of importing the definitions, then the work, then each other module, in one interpreter."""

    definitions: set[str]
    """Names of the modules that the definitions load and Dagster does not."""
    work: set[str]
    """The same when the work is loaded, too."""
    outside: list[str]
    """What any of it did outside the interpreter."""


@functools.cache
def imports() -> Imports:
    names = [
        ".".join(("ops_platform", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in sources.PATHS
        if path.name not in ("__init__.py", "__main__.py")
    ]
    # The libraries' own imports run "file", open /dev/null and bind ::1 to see what the machine can do.
    definitions, work, *outside = watched(
        "import importlib\n"
        "with Unwatched(): import dagster\n"
        "before = set(sys.modules)\n"
        "import ops_platform.definitions\nprint(*(set(sys.modules) - before))\n"
        "loaded = set(sys.modules)\n"
        "with Unwatched(): import boto3\n"
        "libraries = set(sys.modules) - loaded\n"
        f"import {', '.join(sorted(WORK))}\nprint(*(set(sys.modules) - before - libraries))\n"
        f"for name in {names!r}: importlib.import_module(name)"
    )
    return Imports(set(definitions.split()), set(work.split()), outside)


@pytest.mark.processes
def test_importing_any_module_does_nothing_outside() -> None:
    """The front door first, as a code server does; then each module that it has not imported yet."""
    assert imports().outside == []


@pytest.mark.processes
def test_the_definitions_load_what_they_need_and_no_more() -> None:
    names = imports().definitions
    assert "ops_platform.defs.resources" in names
    assert {name.split(".")[0] for name in names} & HEAVY == set()
    assert names & WORK == set()


@pytest.mark.processes
def test_what_stands_for_the_work_is_heavy() -> None:
    """Under whatever name: a module that was renamed must not be looked for in vain."""
    names = imports().work
    assert names >= WORK | {"numpy"}
