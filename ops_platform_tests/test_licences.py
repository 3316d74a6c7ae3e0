"""Each locked package has a licence that this project may use, with the reason why.

What a package's metadata declare is asked; where they say too little, the licence was read in the package
itself, and a new version must be read anew.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from email.message import Message
from importlib import metadata
from typing import cast

import pytest

from ops_platform_tests.lock_file import entries

PERMISSIVE = "asks for its notice only, which the package itself carries"
ALLOWED = {
    "0BSD": PERMISSIVE,
    "Apache-2.0": PERMISSIVE,
    "BSD-2-Clause": PERMISSIVE,
    "BSD-3-Clause": PERMISSIVE,
    "CC0-1.0": PERMISSIVE,
    "ISC": PERMISSIVE,
    "MIT": PERMISSIVE,
    "MIT-0": PERMISSIVE,
    "PSF-2.0": PERMISSIVE,
    "Zlib": PERMISSIVE,
    "MPL-2.0": "binds changes of its own files only; they are installed unchanged",
    "LGPL-3.0-only": "a library that is imported, unchanged and replaceable; Apache-2.0 may use version 3",
    "LGPL-3.0-or-later": "as LGPL-3.0-only",
    "BSD-derived": "supervisor's, by repoze: BSD-3-Clause and a sentence on trademarks",
}
ALLOWED_IN_TESTS = {
    **ALLOWED,
    "GPL-2.0-only": "a program that make lint runs; neither imported nor passed on",
}

FROM_OTHER_WORDS = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "LGPL with exceptions": "LGPL-3.0-or-later",
}
READ = {
    ("amqp", "5.4.2"): "BSD-3-Clause",
    ("antlr4-python3-runtime", "4.13.2"): "BSD-3-Clause",
    ("async-timeout", "5.0.1"): "Apache-2.0",
    ("axe-playwright-python", "0.1.8"): "MIT",
    ("billiard", "4.3.2"): "BSD-3-Clause",
    ("click-plugins", "1.1.1.2"): "BSD-3-Clause",
    ("colorama", "0.4.6"): "BSD-3-Clause",
    ("cronsim", "2.8"): "BSD-3-Clause",
    ("jinja2", "3.1.6"): "BSD-3-Clause",
    ("kubernetes-validate", "1.37.0"): "Apache-2.0",
    ("pathlib-abc", "0.5.2"): "PSF-2.0",
    ("promql-parser", "0.12.0"): "MIT",
    ("pyasn1-modules", "0.4.2"): "BSD-2-Clause",
    ("pyreadline3", "3.5.6"): "BSD-3-Clause",
    ("prompt-toolkit", "3.0.53"): "BSD-3-Clause",
    ("python-dateutil", "2.9.0.post0"): "Apache-2.0 OR BSD-3-Clause",
    ("pywin32", "312"): "PSF-2.0",
    ("sqlparse", "0.6.1"): "BSD-3-Clause",
    ("supervisor", "4.3.0"): "BSD-derived",
    ("vine", "5.1.0"): "BSD-3-Clause",
}
"""Read in the files of packages whose metadata name none; and packages of other systems and Pythons."""


def declared(name: str) -> str | None:
    """The licence in a package's metadata as an SPDX expression; None where they say too little."""
    told = cast(Message, metadata.metadata(name))
    if expression := told.get("License-Expression"):
        return expression
    line = (told.get("License") or "").strip()
    if is_expression(FROM_OTHER_WORDS.get(line, line)):
        return FROM_OTHER_WORDS.get(line, line)
    classifiers = {
        FROM_OTHER_WORDS.get(words, words)
        for one in told.get_all("Classifier") or ()
        if one.startswith("License :: ")
        and (words := one.split(" :: ")[-1]) not in {"OSI Approved", "DFSG approved"}
    }
    # Several mean a choice with one package and all of them with another.
    return classifiers.pop() if len(classifiers) == 1 and all(map(is_expression, classifiers)) else None


def is_expression(text: str) -> bool:
    return bool(text) and permitted(text, lambda name: name in ALLOWED_IN_TESTS)


def permitted(expression: str, allowed: Callable[[str], bool]) -> bool:
    """Tell whether some choice among an SPDX expression's licences is allowed; false for no expression."""
    names: list[str] = []

    def named(found: re.Match[str]) -> str:
        if found[0] in ("AND", "OR"):
            return found[0].lower()
        names.append(found[0])
        return f"_{len(names) - 1}"

    def evaluate(node: ast.expr) -> bool:
        if isinstance(node, ast.BoolOp):
            return (all if isinstance(node.op, ast.And) else any)(map(evaluate, node.values))
        return isinstance(node, ast.Name) and allowed(names[int(node.id[1:])])

    try:
        return evaluate(ast.parse(re.sub(r"[\w.+-]+", named, expression), mode="eval").body)
    except SyntaxError:
        return False


@pytest.mark.parametrize(
    ("lock", "allowed"),
    [
        ("requirements-production.lock", ALLOWED),
        ("requirements-celery.lock", ALLOWED),
        ("requirements-kubernetes.lock", ALLOWED),
        ("requirements.lock", ALLOWED_IN_TESTS),
    ],
)
def test_each_locked_package_has_an_allowed_licence(lock: str, allowed: dict[str, str]) -> None:
    wrong = []
    for name, pins in entries(lock).items():
        for pin in pins:
            licence = READ.get((name, pin.version))
            # Another version of it for other Pythons is of the same people.
            if licence is None and any(one.here for one in pins):
                licence = declared(name)
            if licence is None or not permitted(licence, allowed.__contains__):
                wrong.append(
                    f"{name} {pin.version}: {licence or 'not declared: read its files and add it to READ'}"
                )
    assert wrong == []


def test_what_was_read_is_still_locked() -> None:
    locked = {(name, pin.version) for name, pins in entries("requirements.lock").items() for pin in pins}
    assert READ.keys() - locked == set()


def test_a_licence_is_allowed_only_where_each_part_is() -> None:
    def free(name: str) -> bool:
        return name in {"MIT", "BSD-3-Clause"}

    assert permitted("MIT", free)
    assert permitted("(GPL-3.0-only OR MIT) AND BSD-3-Clause", free)
    for refused in (
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "AGPL-3.0-or-later OR SSPL-1.0",
        "",
        "see LICENSE",
        "MIT,",
    ):
        assert not permitted(refused, free), refused
