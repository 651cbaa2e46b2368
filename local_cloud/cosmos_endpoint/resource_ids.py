"""Resource ids: base64 of 4 bytes for a database, 8 for a container, 16 for a document, nested.

SDKs read them: the Java one refuses other forms, and all take the order of documents with one sort
value from theirs. Layout after `ResourceId` of Microsoft's SDKs.
"""

import base64
import hashlib
from typing import Final

_CONTAINER_FLAG: Final = 0x80
"""Set in the first byte of a container's own four: without it they are a user's."""
_KIND_MASK: Final = 0x0F
"""Of the last byte of a document's own eight: its upper half is 0 for documents."""


def database_rid(name: str, salt: str) -> str:
    """Return the id of a database; *salt* tells it from an earlier one of the same name."""
    return _text(_hash(f"{name}\n{salt}", 4))


def container_rid(database: str, name: str, salt: str) -> str:
    """Return the id of a container below the *database* id."""
    own = bytearray(_hash(f"{name}\n{salt}", 4))
    own[0] |= _CONTAINER_FLAG
    return _text(_bytes(database) + bytes(own))


def document_number(partition: str, document_id: str) -> int:
    """Return what stands for a document in its id; it stays as long as the key does."""
    own = bytearray(_hash(f"{partition}\n{document_id}", 8))
    own[-1] &= _KIND_MASK
    return int.from_bytes(own, "little")


def document_rid(container: str, number: int) -> str:
    """Return the id of a document below the *container* id."""
    return _text(_bytes(container) + number.to_bytes(8, "little"))


def _hash(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=size).digest()


def _text(value: bytes) -> str:
    return base64.b64encode(value, altchars=b"+-").decode()


def _bytes(rid: str) -> bytes:
    return base64.b64decode(rid, altchars=b"+-")
