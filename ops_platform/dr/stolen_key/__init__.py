"""The theft of the backups' key, for an exercise: a copy of the repository, and what a thief does to it.

Works in the drill bucket, and on a probe of its own beside the repository, which is only read.
The exercise around it is in ``exercise``.
"""

from ops_platform.dr.stolen_key.attack import Answers
from ops_platform.dr.stolen_key.repository_copy import RepositoryCopy

__all__ = ["Answers", "RepositoryCopy", "attack", "repository_copy"]
