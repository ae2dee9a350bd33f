"""The audit log as its documentation describes it, written again in Python: RFC 6962 trees, signed checkpoints."""
import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def canonical(leaf):
    return json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def root(leaves):
    """RFC 6962, 2.1: MTH of leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def path(m, leaves):
    """RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return path(m, leaves[:k]) + [root(leaves[k:])]
    return path(m - k, leaves[k:]) + [root(leaves[:k])]


def consistency(m, leaves, whole=True):
    """RFC 6962, 2.1.2."""
    n = len(leaves)
    if m == n:
        return [] if whole else [root(leaves)]
    k = split(n)
    if m <= k:
        return consistency(m, leaves[:k], whole) + [root(leaves[k:])]
    return consistency(m - k, leaves[k:], False) + [root(leaves[:k])]


def read_note(note):
    """(origin, size, root, {extension: value}, signed text, [(key name, key hash, signature)])"""
    text, signatures = note.split("\n\n", 1)
    origin, size, hash_text, *extensions = text.split("\n")
    parsed = []
    for line in signatures.splitlines():
        dash, name, blob = line.split(" ")
        assert dash == "\u2014"
        raw = base64.b64decode(blob)
        parsed.append((name, raw[:4], raw[4:]))
    return (origin, int(size), base64.b64decode(hash_text), dict(line.split(" ", 1) for line in extensions),
            (text + "\n").encode(), parsed)


def check_note(note, public_key):
    """Raises unless the key "name+hash+base64" has signed; (size, root) otherwise."""
    name, key_hash, blob = public_key.split("+", 2)
    raw = base64.b64decode(blob)
    assert raw[0] == 1
    assert hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == key_hash
    origin, size, hash_bytes, _, text, signatures = read_note(note)
    assert origin == name
    mine = [signature for key_name, given, signature in signatures if key_name == name and given.hex() == key_hash]
    Ed25519PublicKey.from_public_bytes(raw[1:]).verify(mine[0], text)
    return size, hash_bytes
