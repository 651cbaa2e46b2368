"""Whom a client believes that it talks to the right server."""

import logging
import ssl
from pathlib import Path

from shared.kernel.errors import Unavailable

_log = logging.getLogger(__name__)


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
