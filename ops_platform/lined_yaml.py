"""YAML with the line of every value, so that a refusal names it. Numbers keep their text: 0.999 is exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from ops_platform.errors import ConfigurationError

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """One of the documents of a file: plain values, with Decimal for what has a fraction."""

    file: Path
    value: Any
    lines: Mapping[Path_, int]

    def at(self, path: Sequence[str | int]) -> str:
        """``file:line`` of a value, or of the nearest one around it."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(tuple(path[:length]))
            if line is not None:
                return f"{self.file}:{line}"
        return str(self.file)


def load(file: Path) -> Iterator[Document]:
    """The documents of ``file``. Raises ConfigurationError when it is not to be read or no YAML."""
    try:
        text = file.read_text(encoding="utf-8")
        for node in yaml.compose_all(text, yaml.SafeLoader):
            if node is not None:
                lines: dict[Path_, int] = {}
                yield Document(file, _plain(node, (), lines, file), lines)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{file}:{line}: is no YAML ({error.problem})") from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{file}: is no YAML") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: is nested too deeply") from None


def _plain(node: yaml.Node, path: Path_, lines: dict[Path_, int], file: Path) -> Any:
    line = node.start_mark.line + 1
    lines[path] = line
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise ConfigurationError(f"{file}:{key.start_mark.line + 1}: keys must be plain words")
            if key.value in found:
                raise ConfigurationError(f"{file}:{key.start_mark.line + 1}: {key.value} is there twice")
            found[key.value] = _plain(value, (*path, key.value), lines, file)
            lines[*path, key.value] = key.start_mark.line + 1
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(value, (*path, number), lines, file) for number, value in enumerate(node.value)]
    return _scalar(node, file, line)


def _scalar(node: yaml.Node, file: Path, line: int) -> Any:
    kind, text = node.tag.rpartition(":")[2], str(node.value)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("true", "yes", "on")
    if kind == "int" and text.lstrip("+-").isdecimal():
        return int(text)
    if kind == "float":
        try:
            return Decimal(text)
        except ArithmeticError:
            raise ConfigurationError(f"{file}:{line}: {text} is no plain number") from None
    return text
