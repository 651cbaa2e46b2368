"""References to secrets: which version of which secret an instance gets, and where; never a value.

The surface has each resolved for the instance, at its start. No value is in a spec, in a record of
the surface, or in anything that the platform reads from it.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from shared.contracts.values import SecretDelivery
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid
from shared.surfaces.configuration import check_variable

FOLDER: Final = "RUNTIME_SECRETS"
"""The variable with the folder of the files."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,126}")
_VERSION: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_FILE: Final = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,128}")
_VAULT: Final = re.compile(r"https?://[A-Za-z0-9.:-]+/?")


@dataclass(frozen=True)
class SecretReference:
    """One version of a secret of the vault at the URL `vault`, and where an instance finds it.

    That is a variable, or a file in the folder of secrets.
    """

    name: str
    version: str
    vault: str
    variable: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no vault has, and what no instance can be given."""
        rows = (
            (_NAME, self.name, "name", "a letter, then letters, digits and dashes"),
            (_VERSION, self.version, "version", "that of one version: letters, digits and dashes"),
            (_VAULT, self.vault, "vault", "the URL of a vault, without a path"),
            (_FILE, self.file or "a", "file", "a name of letters, digits and . _ -"),
        )
        for form, value, field, expected in rows:
            if not form.fullmatch(value):
                raise Invalid(
                    f"the {field} of a secret must be {expected}, got {value[:90]!r}",
                    target=f"/secrets/{field}",
                )
        if (self.variable is None) == (self.file is None):
            raise Invalid(f"secret {self.name} is given as a variable, or as a file: say which")
        if self.variable is not None:
            check_variable(self.variable)

    @property
    def target(self) -> str:
        """Return where an instance finds it: `variables/DB_PASSWORD`, `files/db-password`."""
        return f"variables/{self.variable}" if self.file is None else f"files/{self.file}"

    @property
    def source(self) -> str:
        return f"{self.name} {self.version} of {self.vault.removesuffix('/')}"


def check_target(name: str, target: str, delivery: SecretDelivery, vault: str) -> None:
    """Refuse a target of the secret *name* that no instance can be given. Raises Invalid."""
    if delivery is SecretDelivery.REFERENCE:
        return
    is_variable = delivery is SecretDelivery.ENVIRONMENT_VARIABLE
    SecretReference(
        name,
        "any",
        vault,
        variable=target if is_variable else None,
        file=None if is_variable else target,
    )


def variables_of(secrets: Iterable[SecretReference]) -> frozenset[str]:
    return frozenset(each.variable for each in secrets if each.variable is not None)


def given_twice(secrets: Iterable[SecretReference]) -> list[str]:
    """Return the names that more than one of *secrets* has for its place."""
    places = Counter(each.variable or each.file or "" for each in secrets)
    return [name for name, count in places.items() if count > 1]
