"""The SecretVault port: versions of secrets by name, as Key Vault keeps them.

Names are compared without regard to case. A deleted secret can be recovered until it is purged,
and its name cannot be used meanwhile. Instants are whole seconds.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NoReturn, Protocol

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Conflict, Invalid, NotFound, TooLarge
from shared.kernel.ids import EnvironmentKey

VALUE_MAX_BYTES: Final = 25_600
"""Key Vault's own bound: https://learn.microsoft.com/azure/key-vault/secrets/about-secrets."""
TAGS_MAX: Final = 15
TAG_MAX: Final = 256
CONTENT_TYPE_MAX: Final = 255
LISTED_MAX: Final = 10_000
"""Names, or versions of one secret, that a list may have."""
_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION: Final = re.compile(r"[0-9a-fA-F]{32}")


class SecretDeleted(Conflict):
    """The secret is deleted and recoverable: recover or purge it before its name is used again."""


class SecretDisabled(Conflict):
    """The version is disabled: its value cannot be read until it is enabled again."""


class SecretValue:
    """A secret's text, which only `reveal` shows: no log, error, pickle or JSON does."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text. Whoever calls this answers for where it goes."""
        return self._text

    def __repr__(self) -> str:
        return "SecretValue(***)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretValue):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash would tell equal ones

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret's value is neither pickled nor copied")


@dataclass(frozen=True)
class SecretProperties:
    """What a version is, without its value."""

    name: str
    version: str
    created_at: datetime
    updated_at: datetime
    enabled: bool = True
    expires_at: datetime | None = None
    """For its readers to heed: the vault gives an expired value, as Key Vault does."""
    content_type: str | None = None
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Secret:
    """One version with its value."""

    properties: SecretProperties
    value: SecretValue


class SecretVault(Protocol):
    """One vault. Every method raises Unavailable when it is throttled, forbids us or is away."""

    async def set(
        self,
        name: str,
        value: SecretValue,
        *,
        content_type: str | None = None,
        tags: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
        enabled: bool = True,
    ) -> SecretProperties:
        """Make a new version of *name*, and the secret where there is none.

        Each call makes one version at most. After Unavailable it may be there: who repeats the
        call looks first in `versions` for a tag of its own.

        Raises:
            SecretDeleted: the name is that of a deleted secret.
            Invalid, TooLarge: name, value or attributes are none that Key Vault takes.
        """
        ...

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Return *version*, or the one that was made last, also when that is disabled.

        Raises:
            NotFound: there is none, or the secret is deleted.
            SecretDisabled: the version is disabled.
        """
        ...

    async def versions(self, name: str) -> Sequence[SecretProperties]:
        """Return every version, newest first; those of one second are in no order.

        An absent secret has none. Raises TooLarge for more than 10,000.
        """
        ...

    async def names(self) -> Sequence[str]:
        """Return every name, sorted, without the deleted. Raises TooLarge for more than 10,000."""
        ...

    async def set_enabled(self, name: str, version: str, *, enabled: bool) -> SecretProperties:
        """Enable or disable one version; all else of it stays. Raises NotFound."""
        ...

    async def delete(self, name: str) -> None:
        """Delete every version; they can be recovered. Raises NotFound, also when it is deleted."""
        ...

    async def recover(self, name: str) -> None:
        """Bring a deleted secret back with every version. Raises NotFound."""
        ...

    async def purge(self, name: str) -> None:
        """Remove a deleted secret for ever. Raises NotFound, also when it is not deleted."""
        ...


class Vaults(Protocol):
    """The vaults that this installation may ask, each by its URL.

    Which of them a tenant may use is for those to decide who take a URL from it.
    """

    def at(self, uri: str) -> SecretVault:
        """Return the vault at *uri*, which need not be there: its methods tell.

        Raises:
            VaultNotAllowed: nothing is ever asked of it; see `shared.vault.vault_uris`.
        """
        ...

    def of_environment(self, environment: EnvironmentKey, outputs: Mapping[str, str]) -> str:
        """Return the URL of the vault of *environment*, whose stack has *outputs*.

        On this machine no stack makes one: it is there from its first use on.

        Raises:
            VaultMissing: the environment is in Azure, and its stack has none.
        """
        ...


def checked_name(name: str) -> str:
    """Return *name* if a secret can have it. Raises Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid(f"a secret's name is 1 to 127 letters, digits and dashes, got {name[:40]!r}")
    return name


def checked_version(name: str, version: str) -> str:
    """Return *version* if a secret can have it. Raises NotFound: nothing else has a version."""
    if not _VERSION.fullmatch(version):
        raise NotFound(f"secret {name} has no version {version[:40]!r}")
    return version


def check_new_version(
    value: SecretValue, content_type: str | None, tags: Mapping[str, str] | None
) -> None:
    """Refuse what Key Vault does not take.

    Raises:
        TooLarge: the value is over 25,600 bytes.
        Invalid: there are too many or too long tags, or the content type is too long.
    """
    size = _size_bytes(value)
    if size is None:
        raise Invalid("a secret's value is text that UTF-8 can write")
    if size > VALUE_MAX_BYTES:
        raise TooLarge(f"a secret's value has at most {VALUE_MAX_BYTES} bytes, this one {size}")
    if len(content_type or "") > CONTENT_TYPE_MAX:
        raise Invalid(f"a content type has at most {CONTENT_TYPE_MAX} characters")
    if len(tags or {}) > TAGS_MAX:
        raise Invalid(f"a version has at most {TAGS_MAX} tags, got {len(tags or {})}")
    if any(len(text) > TAG_MAX for pair in (tags or {}).items() for text in pair):
        raise Invalid(f"names and values of tags have at most {TAG_MAX} characters")


def _size_bytes(value: SecretValue) -> int | None:
    """Return the size as UTF-8. None, rather than the codec's error, which has the text in it."""
    try:
        return len(value.reveal().encode())
    except UnicodeEncodeError:
        return None
