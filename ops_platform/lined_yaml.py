"""YAML with the line number of every value, for error messages. Numbers stay exact: 0.999 is a Decimal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import ErrorDetails

from ops_platform.errors import ConfigurationError

KeyPath = tuple[str | int, ...]
_STANDARD = "tag:yaml.org,2002:"
# libyaml reads the same documents ten times as fast; PyYAML can be built without it.
_FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAPPING, _SEQUENCE = {_STANDARD + "map"}, {_STANDARD + "seq"}
# The last two are the tags of a plain "=" and a plain "<<".
_SCALARS = {
    _STANDARD + kind for kind in ("null", "bool", "int", "float", "str", "timestamp", "value", "merge")
}


@dataclass(frozen=True)
class Document:
    """One of the documents of a file: plain values, with Decimal for numbers with a fraction."""

    file: Path
    value: Any
    lines: Mapping[KeyPath, int]

    def at(self, path: Sequence[str | int]) -> str:
        """Return ``file:line`` of the value at ``path``, or of the nearest value around it."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(tuple(path[:length]))
            if line is not None:
                return f"{self.file}:{line}"
        return str(self.file)


def load_one(file: Path, remedy: str = "") -> Document:
    """Read a file of one document. Raises ConfigurationError as ``load`` does, and for none or several."""
    documents = list(load(file, remedy))
    if len(documents) != 1:
        raise ConfigurationError(f"{file}: holds {len(documents)} documents: it must hold one")
    return documents[0]


def load(file: Path, remedy: str = "") -> Iterator[Document]:
    """Read the documents of ``file``.

    Raises ConfigurationError when it is not YAML or cannot be read; ``remedy`` is the advice for the latter.
    """
    try:
        text = file.read_text(encoding="utf-8")
        for node in _nodes(text):
            if node is not None:
                lines: dict[KeyPath, int] = {}
                yield Document(file, _plain(node, (), lines, file), lines)
    except OSError as error:
        advice = f": {remedy}" if remedy else ""
        raise ConfigurationError(f"{file}: cannot be read ({error.strerror}){advice}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{file}:{line}: is not YAML ({error.problem})") from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{file}: is not YAML") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: is nested too deeply") from None


def _nodes(text: str) -> Iterator[yaml.Node | None]:
    try:
        nodes = list(yaml.compose_all(text, _FAST_LOADER))
    except (yaml.YAMLError, RecursionError):
        # Says what is wrong in better words, and names the line where it begins.
        nodes = list(yaml.compose_all(text, yaml.SafeLoader))
    yield from nodes


def complaint(error: ErrorDetails) -> str:
    """Word an error of pydantic's, to stand behind the place and name of the value."""
    if error["type"] == "extra_forbidden":
        return "is not known here: correct or remove it"
    if error["type"] == "missing":
        return "is missing"
    text = error["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _plain(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], file: Path) -> Any:
    line = node.start_mark.line + 1
    lines[path] = line
    mapping, sequence = isinstance(node, yaml.MappingNode), isinstance(node, yaml.SequenceNode)
    if node.tag not in (_MAPPING if mapping else _SEQUENCE if sequence else _SCALARS):
        tag = node.tag.replace(_STANDARD, "!!")
        raise ConfigurationError(f"{file}:{line}: the tag {tag} is not read here: remove it")
    if isinstance(node, yaml.MappingNode):
        entries: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise ConfigurationError(f"{file}:{key.start_mark.line + 1}: keys must be plain words")
            if key.value in entries:
                raise ConfigurationError(
                    f"{file}:{key.start_mark.line + 1}: {key.value} is there twice: remove one"
                )
            entries[key.value] = _plain(value, (*path, key.value), lines, file)
            lines[*path, key.value] = key.start_mark.line + 1
        return entries
    if isinstance(node, yaml.SequenceNode):
        return [_plain(value, (*path, number), lines, file) for number, value in enumerate(node.value)]
    return _scalar(node, file, line)


def _scalar(node: yaml.Node, file: Path, line: int) -> Any:
    kind, text = node.tag.rpartition(":")[2], str(node.value)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("true", "yes", "on")
    if kind == "int" and text.lstrip("+-").replace("_", "").isdecimal():
        return int(text.replace("_", ""))
    if kind == "float":
        try:
            return Decimal(text)
        except ArithmeticError:
            raise ConfigurationError(f"{file}:{line}: {text} is not a plain number") from None
    return text
