"""Links to the runbooks: relative where they are written, absolute where a person in a hurry follows them."""

from __future__ import annotations

import re

from ops_platform.errors import ConfigurationError

FOLDER = "docs/runbooks/"
"""How links to runbooks begin in rules and alerts as they are shipped: in the checkout."""
_LINK = re.compile(r"(?P<before>\brunbook_url: [\"']?)" + re.escape(FOLDER))


def checked(base: str) -> str:
    """Return a base URL with a slash at its end. Raises ConfigurationError for what is none."""
    if not re.fullmatch(r"(https?://[^\s\"'\\{}]+|file:///[^\s\"'\\{}]*)", base):
        raise ConfigurationError(
            "OPS_RUNBOOK_URL is where the pages of docs/runbooks are read: write https://docs.example/runbooks/"
        )
    return base.rstrip("/") + "/"


def link(relative: str, base: str | None) -> str:
    """Make a link of this kind absolute; without a base it stays as it is."""
    return relative if base is None else relative.replace(FOLDER, checked(base), 1)


def linked(rules: str, base: str | None) -> str:
    """Make the links to runbooks in a rule file absolute; without a base the text stays as it is."""
    if base is None:
        return rules
    url = checked(base)
    return _LINK.sub(lambda match: f"{match['before']}{url}", rules)
