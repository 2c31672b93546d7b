"""The tree of the audit log: Merkle tree hashing, inclusion and consistency proofs as in RFC 9162, section 2.1.

A leaf is `SHA-256(0x00 || entry)`, a node `SHA-256(0x01 || left || right)`; the two prefixes keep a node from being
passed off as a leaf. The tree of n leaves splits at the largest power of two below n. The empty tree is SHA-256("").
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY = sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class GrowingTree:
    """A tree that leaves are added to at the right: keeps only the roots of its complete subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self._complete: list[bytes] = []  # roots of complete subtrees, the largest first

    def add(self, leaf: bytes) -> None:
        """Add a leaf's hash."""
        size, complete = self.size, self._complete
        while size & 1:  # a complete subtree of that height stands to the left: the two become one
            leaf = sha256(b"\x01" + complete.pop() + leaf).digest()
            size >>= 1
        complete.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The hash of the whole tree as it is now."""
        if not self._complete:
            return EMPTY
        root = self._complete[-1]
        for left in reversed(self._complete[:-1]):
            root = node_hash(left, root)
        return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The hash of the tree of these leaves' hashes."""
    tree = GrowingTree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What a verifier needs beside the leaf at `index` to arrive at the root of these leaves, from the leaf up."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} among {len(leaves)}")
    proof: list[bytes] = []
    while len(leaves) > 1:
        split = _split(len(leaves))
        if index < split:
            proof.append(root_of(leaves[split:]))
            leaves = leaves[:split]
        else:
            proof.append(root_of(leaves[:split]))
            leaves, index = leaves[split:], index - split
    proof.reverse()
    return proof


def consistency_proof(leaves: Sequence[bytes], earlier: int) -> list[bytes]:
    """What shows that the tree of the first `earlier` of these leaves is where the whole tree began."""
    if not 0 < earlier <= len(leaves):
        raise IndexError(f"a tree of {len(leaves)} leaves has no beginning of {earlier}")
    return _consistency(leaves, earlier, whole=True)


def _consistency(leaves: Sequence[bytes], earlier: int, *, whole: bool) -> list[bytes]:
    if earlier == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = _split(len(leaves))
    if earlier <= split:
        return [*_consistency(leaves[:split], earlier, whole=whole), root_of(leaves[split:])]
    return [*_consistency(leaves[split:], earlier - split, whole=False), root_of(leaves[:split])]
