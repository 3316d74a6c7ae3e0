"""The tree hash against RFC 6962's definition, its published vectors, and change of any kind."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_platform.audit.merkle import MerkleTree, leaf_hash, node_hash

LEAVES = st.lists(st.binary(max_size=40), min_size=1, max_size=70)

# The test vectors of the reference implementation of certificate transparency.
INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def root(entries: list[bytes]) -> bytes:
    tree = MerkleTree()
    for entry in entries:
        tree.add(leaf_hash(entry))
    return tree.root()


def by_definition(entries: list[bytes]) -> bytes:
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return leaf_hash(entries[0])
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return node_hash(by_definition(entries[:split]), by_definition(entries[split:]))


@pytest.mark.parametrize("size", ROOTS)
def test_published_vectors(size: int) -> None:
    assert root([bytes.fromhex(entry) for entry in INPUTS[:size]]).hex() == ROOTS[size]


@given(st.lists(st.binary(max_size=8), max_size=130))
def test_streaming_gives_the_defined_root(entries: list[bytes]) -> None:
    assert root(entries) == by_definition(entries)


@given(LEAVES, st.data())
def test_any_single_change_changes_the_root(entries: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(entries) - 1))
    replaced = data.draw(st.binary(max_size=40).filter(lambda entry: entry != entries[position]))
    changed = [*entries[:position], replaced, *entries[position + 1 :]]
    removed = entries[:position] + entries[position + 1 :]
    inserted = [*entries[:position], data.draw(st.binary(max_size=40)), *entries[position:]]
    assert len({root(entries), root(changed), root(removed), root(inserted)}) == 4


@given(LEAVES, st.data())
def test_reordering_changes_the_root(entries: list[bytes], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(entries))
    assert (root(entries) == root(shuffled)) == (entries == shuffled)


def test_an_inner_node_is_not_a_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert root([b"a", b"b"]) != root([left + right])
