"""Merkle tree hashes of RFC 6962, section 2.1: SHA-256, leaves and inner nodes kept apart by a prefix."""

from __future__ import annotations

import hashlib


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """A root built from leaves as they stream by; memory is the logarithm of their number.

    Kept are the roots of the perfect subtrees that the leaves so far fall into, one for each bit
    of their count, largest first.
    """

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append one leaf *hash*."""
        self._subtrees.append(leaf)
        self.size += 1
        completed = self.size
        while completed % 2 == 0:
            right = self._subtrees.pop()
            self._subtrees.append(node_hash(self._subtrees.pop(), right))
            completed //= 2

    def root(self) -> bytes:
        """The tree hash of all leaves so far; of none, the hash of the empty string."""
        if not self._subtrees:
            return hashlib.sha256(b"").digest()
        root = self._subtrees[-1]
        for subtree in reversed(self._subtrees[:-1]):
            root = node_hash(subtree, root)
        return root
