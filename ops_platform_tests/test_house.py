"""A stranger finds the way: few modules a folder, faces of packages, names that mean one thing."""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ops_platform_tests import sources
from ops_platform_tests.sources import PACKAGE

MOST_MODULES = 15
"""In one folder: as many as one takes in at a glance. ``__init__`` and ``__main__`` are its doors."""
DOORS = {"__init__", "__main__"}


def dotted(path: Path) -> str:
    parts = ("ops_platform", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {dotted(path): path for path in sources.PATHS}
PACKAGES = {module for module, path in SOURCES.items() if path.stem == "__init__"}


def parsed(module: str) -> ast.Module:
    return sources.tree(SOURCES[module])


def face(package: str) -> list[str] | None:
    """Read what a package's ``__all__`` names; None when it has none."""
    for node in parsed(package).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == "__all__":
                return [str(name) for name in ast.literal_eval(node.value)]
    return None


def crossings(importer: str, imported: str) -> Iterator[tuple[str, str]]:
    """Name each package that an import enters from outside, with what it asks for there."""
    parts = imported.split(".")
    for length in range(2, len(parts)):
        package = ".".join(parts[:length])
        if package in PACKAGES and importer != package and not importer.startswith(f"{package}."):
            yield package, parts[length]


@functools.cache
def imported_names(module: str) -> tuple[str, ...]:
    """Name everything of ours that a module imports, at its top or within a function, in full."""
    return tuple(_imported_names(module))


def nodes(module: str) -> tuple[ast.AST, ...]:
    return sources.nodes(SOURCES[module])


def _imported_names(module: str) -> Iterator[str]:
    for node in nodes(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ops_platform."))
        elif isinstance(node, ast.ImportFrom) and (source := imported_from(module, node)):
            yield from (f"{source}.{alias.name}" for alias in node.names)
    yield from reached(module)


def imported_from(module: str, node: ast.ImportFrom) -> str:
    """Name in full what an import is from, also a relative one; empty when it is not ours."""
    source = node.module or ""
    if node.level:
        here = module.split(".") if module in PACKAGES else module.split(".")[:-1]
        source = ".".join([*here[: len(here) - node.level + 1], *([source] if source else [])])
    return source if source.split(".")[0] == "ops_platform" else ""


def reached(module: str) -> Iterator[str]:
    """Name the modules of ours that a module reaches as attributes of a package that it imported."""
    known = {
        alias.asname or alias.name: f"{source}.{alias.name}"
        for node in nodes(module)
        if isinstance(node, ast.ImportFrom) and (source := imported_from(module, node))
        for alias in node.names
    }
    for node in nodes(module):
        if not isinstance(node, ast.Attribute):
            continue
        inner: ast.expr = node
        parts: list[str] = []
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in known:
            names = [known[inner.id], *reversed(parts)]
            for length in range(2, len(names) + 1):
                if (name := ".".join(names[:length])) in SOURCES:
                    yield name


def refused(importer: str, imported: str, faces: Mapping[str, list[str] | None]) -> list[str]:
    return [
        f"{importer} takes {name} from {package}, whose __all__ does not name it"
        for package, name in crossings(importer, imported)
        if name not in (faces[package] or ())
    ]


def test_a_folder_has_few_modules() -> None:
    counts: dict[str, int] = defaultdict(int)
    for path in SOURCES.values():
        if path.stem not in DOORS:
            counts[str(path.parent.relative_to(PACKAGE))] += 1
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


@pytest.mark.parametrize("package", sorted(PACKAGES - {"ops_platform"}))
def test_each_package_tells_what_it_is_and_names_its_face(package: str) -> None:
    told = ast.get_docstring(parsed(package)) or ""
    assert len(told.split()) >= 8, "its docstring does not say what lives there and what does not"
    names = face(package)
    assert names is not None, "it has no __all__"
    tree = parsed(package)
    bound = {alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom)
             for alias in node.names}  # fmt: skip
    bound |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    missing = [name for name in names if name not in bound and f"{package}.{name}" not in SOURCES]
    assert missing == []


def test_each_folder_with_modules_is_a_package() -> None:
    """Else it has no face, and no docstring that says what lives there."""
    folders = {path.parent for path in SOURCES.values()}
    assert [str(one) for one in sorted(folders) if not (one / "__init__.py").is_file()] == []


def test_outsiders_use_the_face_of_a_package() -> None:
    faces = {package: face(package) for package in PACKAGES}
    wrong = [
        line for module in SOURCES for name in imported_names(module) for line in refused(module, name, faces)
    ]
    assert wrong == []


def test_the_rule_of_faces_has_teeth() -> None:
    gdpr = "ops_platform.gdpr"
    faces: dict[str, list[str] | None] = {gdpr: ["tombstones"], f"{gdpr}.tombstones": ["Tombstone"]}
    assert refused(f"{gdpr}.erasure.pipeline", f"{gdpr}.tombstones.Tombstone", faces) == []
    for imported in ("tombstones.entry.Tombstone", "tombstones.encryption"):
        assert refused(f"{gdpr}.erasure.pipeline", f"{gdpr}.{imported}", faces), imported
    assert refused("ops_platform.api.app", f"{gdpr}.fulfilment.work", faces)


def duties() -> Mapping[str, list[str]]:
    """Collect, of each top-level package, the names of its modules and packages."""
    stems: dict[str, list[str]] = defaultdict(list)
    for module in SOURCES:
        parts = module.split(".")
        if len(parts) > 2 and parts[-1] not in DOORS:
            # In the Dagster wing each duty has modules of the same roles.
            duty = ".".join(parts[1:3]) if parts[1] == "defs" and len(parts) > 3 else parts[1]
            stems[duty].append(parts[-1])
    return stems


def alike(stems: list[str]) -> list[str]:
    """Find names that stand twice, or differ by a plural only."""
    twice = {stem for stem in stems if stems.count(stem) > 1}
    same = {
        f"{one}/{other}"
        for one, other in itertools.permutations(sorted(set(stems), key=lambda stem: (len(stem), stem)), 2)
        if (len(one), one) < (len(other), other) and singular(one) == singular(other)
    }
    return sorted(twice | same)


def singular(stem: str) -> str:
    """Each word in the singular, without underscores."""
    return "".join(
        re.sub(r"(?<=[^s])s$|(?<=ss)es$", "", re.sub(r"ies$", "y", one)) for one in stem.split("_")
    )


def test_no_name_stands_twice_in_a_duty() -> None:
    assert {duty: alike(stems) for duty, stems in duties().items() if alike(stems)} == {}
    assert alike(["data_map", "datamap", "_rows_lost", "row_losts", "pass", "passes"]) != []
    assert alike(["store", "tombstone", "tombstones", "policy", "policies", "store"]) == [
        "policy/policies",
        "store",
        "tombstone/tombstones",
    ]


IN_BACKTICKS = re.compile(r"``([a-z_]+(?:[./]\w+)+)(?:\(\))?``")
WINGS = {module.split(".")[1] for module in SOURCES if "." in module}


def named_modules(text: str) -> list[str]:
    """Find what a docstring names in double backticks as a module: its first word is a wing of the house."""
    return [
        name.removeprefix("ops_platform.")
        for name in map(as_module, IN_BACKTICKS.findall(text))
        if name.removeprefix("ops_platform.").split(".")[0] in WINGS
        and not name.endswith((".yaml", ".md", ".py"))
    ]


def as_module(name: str) -> str:
    """``gdpr/births.py`` as ``gdpr.births``; other files stay as they are."""
    return name.removesuffix(".py").replace("/", ".") if name.endswith(".py") and "/" in name else name


def exists(name: str) -> bool:
    """Tell whether ``name`` is a module, or a public name of one."""
    module, _, attribute = f"ops_platform.{name}".rpartition(".")
    if f"{module}.{attribute}" in SOURCES:
        return True
    if module not in SOURCES:
        return False
    bound = {
        getattr(target, "id", getattr(node, "name", ""))
        for node in parsed(module).body
        for target in getattr(node, "targets", [getattr(node, "target", node)])
    }
    return attribute in bound or attribute in (face(module) or () if module in PACKAGES else ())


def test_each_module_in_backticks_exists() -> None:
    wrong = []
    for module in SOURCES:
        for node in nodes(module):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                told = ast.get_docstring(node) or ""
                wrong += [f"{module}: {name}" for name in named_modules(told) if not exists(name)]
    assert wrong == []
    assert named_modules("``gdpr.births`` and ``x.y``, ``gdpr``") == ["gdpr.births"]
    assert not exists("gdpr.births")
