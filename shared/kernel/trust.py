"""Whom a client believes that it talks to the right server."""

import ssl
from pathlib import Path


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context of a client that trusts *ca_file* besides the machine's authorities.

    Besides, since an app reaches public services and those of a local cloud, or of a company, in
    one process. Raises OSError where the file cannot be read, or has no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
