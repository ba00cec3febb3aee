"""Seeds derived from the purpose of a draw, so that the same draw gives the same result in any process and run."""

import hashlib


def derive_seed(*values: int | str | bytes) -> int:
    """A 63-bit seed that depends on all `values` and their order."""
    digest = hashlib.blake2b(repr(values).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
