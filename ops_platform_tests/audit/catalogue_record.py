"""Recording what the catalogue of a migrated ops database says about the ledger.

python -m ops_platform_tests.audit.catalogue_record URL > ops_platform/audit/catalogue/recorded.json
"""

from __future__ import annotations

import json
import sys

from ops_platform.audit.catalogue import read_facts
from ops_platform.audit.reading import pin
from ops_platform.clients import postgres


def record(url: str) -> str:
    """The record of the database at ``url``, as ``recorded.json`` has it."""
    with postgres.session(url) as connection:
        pin(connection)
        return json.dumps(read_facts(connection), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(record(sys.argv[1]))
