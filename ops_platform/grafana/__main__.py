"""The command that writes the dashboards where they are checked in, or to the directory that is named."""

from __future__ import annotations

import sys
from pathlib import Path

from ops_platform import files
from ops_platform.grafana.rendering import render


def main(arguments: list[str]) -> int:
    """Write one JSON file for each dashboard, and print its path; 2 for wrong usage."""
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print("usage: python -m ops_platform.grafana [DIRECTORY]", file=sys.stderr)
        return 2
    default = files.carried("dashboards") / "grafana" / "dashboards"
    directory = Path(arguments[0]) if arguments else default
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in render().items():
        path = directory / name
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
