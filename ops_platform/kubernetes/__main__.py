"""``python -m ops_platform.kubernetes``: print rules, scrape targets and dashboards for ``kubectl apply``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from ops_platform import files
from ops_platform.kubernetes import monitoring


def main(arguments: Sequence[str]) -> int:
    """Print the resources as YAML documents; 2 when there are no rules."""
    parser = argparse.ArgumentParser(prog="python -m ops_platform.kubernetes", description=__doc__)
    parser.add_argument("--namespace", default=monitoring.APPLICATION)
    parser.add_argument("--rules", type=Path, help="directory of rule files; by default the platform's")
    parser.add_argument("--runbooks", default="", help="base of the links to runbooks, as OPS_RUNBOOK_URL")
    options = parser.parse_args(arguments)
    carried = files.carried("dashboards")
    rule_files = sorted((options.rules or carried / "prometheus" / "rules").glob("*.yml"))
    if not rule_files:
        print(f"error: {options.rules} holds no rule file (*.yml)", file=sys.stderr)
        return 2
    made = [
        *monitoring.rules(rule_files, options.namespace, options.runbooks),
        *monitoring.monitors(options.namespace),
        *monitoring.dashboards(
            sorted((carried / "grafana" / "dashboards").glob("*.json")), options.namespace
        ),
    ]
    yaml.safe_dump_all(made, sys.stdout, sort_keys=False, width=10_000)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
