"""Erase one data subject from every store, prove it and certify it: the erasure of Art. 17 GDPR.

``pipeline`` has the list of the steps, which is the only place where their order stands, and runs them;
the steps are in ``steps``, what they share is in ``steps.base``, what is done already in ``checkpoints``.
``context`` opens what an erasure works with, ``command_line`` erases without a request. Not here: requests
and their queue, tombstones, certificates and lineage as such, and the erasure of rows in a product database.
"""

__all__ = [
    "cache",
    "checkpoints",
    "command_line",
    "completion_mail",
    "context",
    "inventory",
    "joint_erasure",
    "objects",
    "pipeline",
    "processor_answers",
    "product_inventory",
    "steps",
]
