"""The version of a secret that a module is given, or that is named by its beginning. Pure."""

from collections.abc import Collection, Sequence
from typing import Final

from function_apps.secret_bindings.errors import SecretHasNoVersion, VersionUnusable
from shared.contracts.secret_bindings import Generator
from shared.vault.port import SecretDisabled, SecretProperties

VERSION_LENGTH: Final = 32
"""Characters of a whole version, as Key Vault makes them."""
SHORTEST: Final = 12
"""Characters of a version that tables show: so many stand for the whole one."""
_NAMED_MAX: Final = 5


def newest_enabled(versions: Sequence[SecretProperties]) -> SecretProperties | None:
    """Return the first of *versions*, newest first, that is enabled; None where none is."""
    return next((each for each in versions if each.enabled), None)


def usable_version(
    versions: Sequence[SecretProperties],
    in_force: str | None,
    name: str,
    generator: Generator | None,
    failed: Collection[str] = (),
) -> SecretProperties | None:
    """Return the version *in_force* of *name*, or the newest that is enabled.

    One to which a rotation *failed* is taken only where there is no other. None where *generator*
    is to make the first one.

    Raises:
        SecretDisabled: the version in force is not enabled: others may have it all the same.
        SecretHasNoVersion: there is none, and no generator.
    """
    if in_force is None:
        others = [each for each in versions if each.version not in failed]
        newest = newest_enabled(others) or newest_enabled(versions)
        if newest is None and generator is None:
            raise SecretHasNoVersion(name)
        return newest
    found = next((each for each in versions if each.version == in_force and each.enabled), None)
    if found is None:
        raise SecretDisabled(
            f"version {in_force} of {name} is in force and is disabled, or gone: enable or recover"
            " it, or rotate the secret"
        )
    return found


def is_short(version: str) -> bool:
    """Return whether *version* can be the beginning of one only."""
    return len(version) < VERSION_LENGTH


def is_begun_by(version: str | None, asked: str) -> bool:
    """Return whether *asked* is *version*, or as much of its beginning as stands for it."""
    if version is None or version == asked:
        return version is not None
    return len(asked) >= SHORTEST and version.startswith(asked)


def whole_version(versions: Sequence[SecretProperties], asked: str, name: str) -> str:
    """Return the only one of *versions* of *name* that begins as *asked*.

    Raises:
        VersionUnusable: there is none, or there are several, or it is disabled.
    """
    enabled = [each.version for each in versions if each.enabled]
    fitting = [each.version for each in versions if is_begun_by(each.version, asked)]
    if len(fitting) == 1 and fitting[0] in enabled:
        return fitting[0]
    if len(fitting) == 1:
        raise VersionUnusable(name, asked, f": {fitting[0]} is disabled")
    if fitting:
        known = ", ".join(fitting[:_NAMED_MAX])
        raise VersionUnusable(
            name, asked, f": {known}; name the whole one", "more than one version"
        )
    known = ", ".join(enabled[:_NAMED_MAX]) or "none"
    more = f": it has {known}; name the whole one, or its first {SHORTEST}"
    raise VersionUnusable(name, asked, more)
