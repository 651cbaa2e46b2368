"""Whom a client believes that it talks to the right server."""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

from shared.kernel.errors import Unavailable

_log = logging.getLogger(__name__)
_UNTRUSTED: Final = "certificate verify failed"
"""OpenSSL's words; Service Bus' client keeps those only."""
_CAUSES_MAX: Final = 10


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context of a client that trusts *ca_file* besides the machine's authorities.

    Besides, since an app reaches public services and those of a local cloud, or of a company, in
    one process.

    Raises:
        Unavailable: the file cannot be read, or has no certificate. The log names it: the message
            goes to callers.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as problem:  # ssl.SSLError is one
            _log.warning("%s has no certificates that can be read: %s", ca_file, problem)
            message = f"the certificate authorities cannot be read: {type(problem).__name__}"
            raise Unavailable(message) from problem
    return context


async def trusted_once(ca_file: Path | None, kept: list[ssl.SSLContext]) -> ssl.SSLContext | None:
    """Return `trusting` of *ca_file*, read beside the loop and *kept*; None where there is none."""
    if ca_file is None:
        return None
    if not kept:
        kept.append(await asyncio.to_thread(trusting, ca_file))
    return kept[0]


def untrusted_in(problem: BaseException) -> str:
    """Return what to do where *problem* is a certificate that is not trusted; else nothing.

    Nothing else of it is passed on: the words of an SDK may have addresses and keys.
    """
    cause: BaseException | None = problem
    for _ in range(_CAUSES_MAX):
        if cause is None:
            break
        if isinstance(cause, ssl.SSLCertVerificationError) or _UNTRUSTED in str(cause).lower():
            return (
                ": its certificate is not trusted; RUNTIME_CA_FILE names the authority of a local"
                " cloud or of a company"
            )
        cause = getattr(cause, "inner_exception", None) or cause.__cause__ or cause.__context__
    return ""
