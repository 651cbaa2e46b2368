"""Keys of this machine, in files that only their owner may read."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.kernel.errors import Unavailable
from shared.persistence.durable_files import sync_folder
from shared.persistence.plain_files import part_of, read_plain, write_new

_KEY_BITS: Final = 256


def kept_key(path: Path) -> bytes:
    """Return the 256 bit key in the file *path*, made once when there is none.

    Of processes that make it at the same time all get the one that was first.
    """
    with suppress(FileNotFoundError):
        return read_plain(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = part_of(path)
    write_new(part, AESGCM.generate_key(_KEY_BITS), is_durable=True)
    with suppress(FileExistsError):
        os.link(part, path)  # unlike a rename it never replaces another's
    part.unlink()
    sync_folder(path.parent)
    return read_plain(path)


def kept_secret(path: Path) -> bytes:
    """Return the key in the file *path* as `kept_key` does, from which others are derived.

    Raises Unavailable where it is damaged: whoever guesses it, such as an empty one, has the rest.
    """
    key = kept_key(path)
    if len(key) * 8 != _KEY_BITS:
        raise Unavailable(f"the key in {path} is damaged: restore it, or remove it for a new one")
    return key
