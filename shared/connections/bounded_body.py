"""Reads the body of an answer that somebody else's program sends, up to a bound."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import aiohttp

BODY_MAX: Final = 64 * 1024
"""An answer to a probe is a few bytes; one without an end would fill the memory of all."""
PLAIN: Final = {"Accept-Encoding": "identity"}
"""Headers of a request whose answer is read with a bound: what is packed has none."""


class BodyTooLong(OSError):
    """The body has more bytes than were to be read."""


async def read_bounded(answer: "aiohttp.ClientResponse", *, at_most: int = BODY_MAX) -> bytes:
    """Return the body of *answer*, whose session does not unpack.

    Raises:
        BodyTooLong: it goes on behind *at_most* bytes.
        aiohttp.ClientError: it breaks off half-way.
    """
    body = bytearray()
    while len(body) <= at_most:
        chunk = await answer.content.read(at_most + 1 - len(body))
        if not chunk:
            return bytes(body)
        body += chunk
    raise BodyTooLong(f"the answer is longer than {at_most} bytes")
