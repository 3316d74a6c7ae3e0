"""Commands that show or check what an erasure leaves: certificate, lineage, map, processors' answers.

Erasures and exports themselves are in the modules beside this package.
"""

from ops_platform.cli.proofs.certificate import certificate, verify_certificate
from ops_platform.cli.proofs.lineage import lineage
from ops_platform.cli.proofs.processor_answer import processor_answered
from ops_platform.cli.proofs.stored_map import show

__all__ = ["certificate", "lineage", "processor_answered", "show", "verify_certificate"]
