"""Tests for Merkle trees and their proofs."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from fire22.core import merkle


def tree_of(count: int) -> merkle.Tree:
    """A tree of so many entries."""
    tree = merkle.Tree()
    for number in range(count):
        tree.append(merkle.leaf(b"%d" % number))
    return tree


def test_the_hashes_are_those_of_rfc_9162() -> None:
    """Another implementation computes the same root: leaves begin with 0, inner nodes with 1."""
    entries = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
    tree = merkle.Tree()
    assert tree.root() == hashlib.sha256(b"").digest()
    for entry in entries:
        tree.append(merkle.leaf(entry))
    # The test vectors of Certificate Transparency's reference implementation.
    assert tree.root(1).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert tree.root(2).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert tree.root(7).hex() == "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"


@given(st.integers(0, 200))
def test_the_frontier_has_the_trees_root(count: int) -> None:
    """A server that keeps only the roots of full sub-trees knows the root of all."""
    peaks: list[bytes] = []
    for number in range(count):
        merkle.grow(peaks, number, merkle.leaf(b"%d" % number))
    assert merkle.root(peaks) == tree_of(count).root()


@given(st.integers(1, 130), st.data())
def test_a_proof_of_inclusion_holds_for_its_entry_alone(count: int, data: st.DataObject) -> None:
    """Who has a root and a proof sees that an entry is in the list, at its place, and cannot be shown another."""
    index = data.draw(st.integers(0, count - 1))
    tree = tree_of(count)
    path = tree.inclusion(index, count)
    assert merkle.includes(merkle.leaf(b"%d" % index), index, count, path, tree.root())
    assert not merkle.includes(merkle.leaf(b"x"), index, count, path, tree.root())
    if count > 1:
        other = (index + 1) % count
        assert not merkle.includes(merkle.leaf(b"%d" % index), other, count, path, tree.root())


@given(st.integers(1, 130), st.data())
def test_a_proof_of_consistency_holds_for_what_has_only_grown(count: int, data: st.DataObject) -> None:
    """Who kept an older root sees that nothing before it has changed."""
    earlier = data.draw(st.integers(1, count))
    tree = tree_of(count)
    path = tree.consistency(earlier, count)
    assert merkle.extends(earlier, tree.root(earlier), count, tree.root(), path)
    assert not merkle.extends(earlier, merkle.leaf(b"other"), count, tree.root(), path)
