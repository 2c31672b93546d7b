"""The tree of the log, against the values that RFC 6962's own implementation publishes, and against the verifier's."""

from __future__ import annotations

import pytest

from app.domain.merkle import EMPTY, GrowingTree, consistency_proof, inclusion_proof, leaf_hash, root_of
from proofs import verify_export as verifier

# Entries and roots of certificate-transparency's reference tests.
ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def test_the_empty_tree_is_the_hash_of_nothing() -> None:
    assert GrowingTree().root() == EMPTY == verifier.Tree().root()
    assert EMPTY.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_that_everybody_computes(size: int) -> None:
    assert root_of([leaf_hash(entry) for entry in ENTRIES[:size]]).hex() == ROOTS[size]


@pytest.mark.parametrize("size", [*range(1, 34), 64, 100])
def test_the_verifier_takes_every_proof_and_no_bent_one(size: int) -> None:
    leaves = [leaf_hash(number.to_bytes(2)) for number in range(size)]
    root, another = root_of(leaves), leaf_hash(b"another")
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(leaves, index)
        assert verifier.root_from_inclusion(index, size, leaf, proof) == root
        assert verifier.root_from_inclusion(index, size, another, proof) != root
        assert verifier.root_from_inclusion(index, size, leaf, [*proof, another]) != root
        if proof:
            assert verifier.root_from_inclusion(index, size, leaf, proof[:-1]) != root
    for earlier in range(1, size + 1):
        proof, old = consistency_proof(leaves, earlier), root_of(leaves[:earlier])
        assert verifier.is_consistent(earlier, old, size, root, proof)
        assert not verifier.is_consistent(earlier, another, size, root, proof)
        assert not verifier.is_consistent(earlier, old, size, another, proof)
        assert not verifier.is_consistent(earlier, old, size, root, [*proof, another])
