"""Merkle tree hashes of RFC 6962, section 2.1: SHA-256, with a prefix that tells leaves from inner nodes."""

from __future__ import annotations

import hashlib


def leaf_hash(data: bytes) -> bytes:
    """Hash the data of a leaf: SHA-256(0x00, data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node: SHA-256(0x01, left, right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """A tree whose root is built from a stream of leaves, in memory logarithmic in their number.

    It holds the roots of the perfect subtrees that the leaves so far form, one for each bit
    of their count, largest first.
    """

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append one leaf, given as its *hash*."""
        self._subtrees.append(leaf)
        self.size += 1
        completed = self.size
        while completed % 2 == 0:
            right = self._subtrees.pop()
            self._subtrees.append(node_hash(self._subtrees.pop(), right))
            completed //= 2

    def root(self) -> bytes:
        """Return the tree hash of all leaves so far; without leaves, the hash of the empty string."""
        if not self._subtrees:
            return hashlib.sha256(b"").digest()
        root = self._subtrees[-1]
        for subtree in reversed(self._subtrees[:-1]):
            root = node_hash(subtree, root)
        return root
