"""Seeds derived from what is to be drawn, so that a draw repeats wherever and whenever it is made again."""

import hashlib


def derive_seed(*values: int | str | bytes) -> int:
    """A seed of 63 bits that depends on all `values` and their order."""
    digest = hashlib.blake2b(repr(values).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
