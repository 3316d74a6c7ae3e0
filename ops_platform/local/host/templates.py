"""Templates of the dashboards folder: ``${NAME}`` replaced, everything else left alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ops_platform.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


def render(text: str, values: Mapping[str, str], name: str) -> str:
    """Replace the references in ``text``; comment lines keep theirs.

    Raises ConfigurationError that names the template and the first unknown reference.
    """

    def value(match: re.Match[str]) -> str:
        if match.group(1) not in values:
            raise ConfigurationError(
                f"{name} refers to {match.group(0)}, which the embedded stack does not set"
            )
        return values[match.group(1)]

    lines = text.splitlines(keepends=True)
    return "".join(line if line.lstrip().startswith("#") else _REFERENCE.sub(value, line) for line in lines)
