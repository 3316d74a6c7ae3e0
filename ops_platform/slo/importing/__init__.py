"""OpenSLO v1 documents from those of other tools: Sloth, Pyrra, OpenSLO v1alpha.

What cannot be carried over is named, line by line. Not here: what an OpenSLO v1 document means
(``slo.objectives``).
"""

from ops_platform.slo.importing.conversion import Imported
from ops_platform.slo.importing.file_import import convert

__all__ = ["Imported", "convert"]
