"""The trial from the command line, on a cluster of its own.

An edits file defines ``edit(document)``, which changes the drafted map as its reader would; it may define
``LINKS`` and ``SQL``, as ``Trial`` takes them.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from ops_platform_tests.gdpr.erasing import Products
from ops_platform_tests.gdpr.schema_trial.trial import Trial, confirm
from ops_platform_tests.services import Services


def main() -> int:
    parser = argparse.ArgumentParser(prog="schema_trial", description=__doc__)
    parser.add_argument("schema", type=Path, help="SQL that makes the tables")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--other", required=True, help="a table whose ids pairs of type and id hold, too")
    parser.add_argument("--email", default="email")
    parser.add_argument("--edits", type=Path)
    parser.add_argument("--out", type=Path, default=Path(), help="where the drafted and the edited map go")
    arguments = parser.parse_args()
    edits = runpy.run_path(str(arguments.edits)) if arguments.edits else {}
    trial = Trial(
        arguments.schema.read_text(),
        arguments.subject,
        arguments.other,
        arguments.email,
        edits.get("edit", confirm),
        edits.get("LINKS", {}),
        tuple(edits.get("SQL", ())),
        print,
    )
    services = Services.start()
    try:
        product = Products(services.cluster("product", archive=False)).create()
        judgement = trial.run(product, arguments.out)
    finally:
        services.close()
    print(judgement)
    return 0 if judgement is not None and not judgement.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
