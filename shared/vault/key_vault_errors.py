"""Translates errors of the Key Vault SDK to the families of `shared.kernel.errors`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from shared.connections.retry_after import retry_after_s
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.kernel.full_disk import reason_in
from shared.kernel.trust import untrusted_in
from shared.vault.port import SecretDeleted, SecretDisabled

_RETRY_FORBIDDEN_S: Final = 120.0
"""A role assignment may take ten minutes to reach the data plane: five tries wait for eight."""


@asynccontextmanager
async def translated_errors() -> AsyncIterator[None]:
    """Raise the errors of `shared.kernel.errors` for those of the SDK.

    No message names the vault's address: callers see it.

    Raises:
        NotFound: there is no such secret, version or deleted secret.
        SecretDeleted, SecretDisabled: as the port.
        Invalid: Key Vault does not take what was sent.
        Unavailable: throttled, forbidden, away, or no token could be had.
    """
    from azure.core.exceptions import (  # noqa: PLC0415  heavy: where used
        AzureError,
        ClientAuthenticationError,
        HttpResponseError,
    )

    # Answers are no cause of ours: one that cannot be read stands whole in the SDK's error, with a
    # value or a token in it.
    try:
        yield
    except ClientAuthenticationError as refused:
        raise Unavailable(
            "Key Vault gave no access: this app's identity got no token, or one that the"
            f" vault refuses ({type(refused).__name__}; azure.identity logs why)",
            retry_after_s=_RETRY_FORBIDDEN_S,
        ) from None
    except HttpResponseError as failed:
        raise _error_for(failed) from None
    except (AzureError, TimeoutError) as away:
        raise Unavailable(
            f"Key Vault cannot be reached ({type(away).__name__}){untrusted_in(away)}"
        ) from away
    except ValueError as foreign:  # the SDK, of a challenge that names another resource
        raise Unavailable(
            "Key Vault asks for a token that is not for its name: check the vault's address",
            retry_after_s=_RETRY_FORBIDDEN_S,
        ) from foreign


def _error_for(failed: Any) -> Exception:
    """Return our error for an answer of a vault."""
    status, reason = failed.status_code, _inner_code(failed)
    if reason == "SecretDisabled":
        return SecretDisabled("the version is disabled: enable it, or read another")
    if status == HTTPStatus.OK:
        return Unavailable("Key Vault gave an answer that cannot be read")
    if status == HTTPStatus.NOT_FOUND:
        return NotFound("the vault has no such secret or version")
    if status == HTTPStatus.CONFLICT and reason == "ObjectIsDeletedButRecoverable":
        return SecretDeleted(
            "a secret of this name is deleted and recoverable: recover or purge it before its"
            " name is used again"
        )
    if status == HTTPStatus.BAD_REQUEST:
        # Not its sentence, which might repeat what was sent.
        return Invalid(f"Key Vault refuses it ({getattr(failed.error, 'code', None)})")
    otherwise_s = _RETRY_FORBIDDEN_S if status == HTTPStatus.FORBIDDEN else 1.0
    headers = failed.response.headers if failed.response is not None else {}
    return Unavailable(
        f"Key Vault answered {status} {reason}".rstrip() + reason_in(failed),
        retry_after_s=retry_after_s(headers.get("Retry-After"), otherwise_s),
        throttled=status == HTTPStatus.TOO_MANY_REQUESTS,
    )


def _inner_code(failed: Any) -> str:
    inner = getattr(failed.error, "innererror", None)
    return str(inner.get("code", "")) if isinstance(inner, Mapping) else ""
