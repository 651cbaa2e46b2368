"""Names of what is in a vault, in the contracts of every service that mentions a secret."""

from typing import Annotated

from pydantic import StringConstraints

from shared.contracts.patterns import pattern

SecretName = Annotated[
    str,
    StringConstraints(
        pattern=pattern(
            r"^[A-Za-z][A-Za-z0-9-]{0,126}$",
            "a letter, then letters, digits and dashes, at most 127",
        )
    ),
]
"""As Key Vault names secrets."""
SecretVersion = Annotated[
    str,
    StringConstraints(
        pattern=pattern(r"^[A-Za-z0-9-]{1,64}$", "1 to 64 letters, digits and dashes")
    ),
]
VaultUri = Annotated[
    str,
    StringConstraints(
        pattern=pattern(r"^https?://[\w.:-]+/?$", "the URL of a vault, without a path"),
        max_length=256,
    ),
]
