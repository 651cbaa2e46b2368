"""The configuration of a revision: what each instance is given of it, as variables and as files.

The caller writes the texts, in the format of its choice (JSON, dotenv), and names the whole by its
hash. A surface gives them unchanged. Two configurations are the same when hash, names and digests
are; so a surface need not keep the texts with all that it keeps of a spec.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, TooLarge

BYTES_MAX: Final = 2**20
"""Of all texts together, in UTF-8: what an object of Kubernetes holds."""
_SHOWN: Final = 5
FOLDER: Final = "RUNTIME_CONFIGURATION"
"""The variable with the folder of the files."""
VARIABLES: Final = "variables"
FILES: Final = "files"
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_FILE: Final = re.compile(r"(?!\.\.|\.$)(?=.*\.)[A-Za-z0-9._-]{1,128}")
"""With a dot, so that no file has the name of a variable."""
_OURS: Final = re.compile(r"RUNTIME_.*|PORT|HOME|TMPDIR|PATH|LANG|VIRTUAL_ENV")


@dataclass(frozen=True)
class ConfigurationTexts:
    """The values of variables and the contents of files, by name."""

    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """`variables` and `files` have the digest of each text by name; `texts` has the texts.

    None for `texts` where only the identity of a configuration is known.
    """

    hash: str
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    texts: ConfigurationTexts | None = field(default=None, compare=False, repr=False)

    @property
    def digests(self) -> Mapping[str, str]:
        """Return the digest of each text by its path: `variables/LOG_LEVEL`, `files/app.json`."""
        return _by_path(ConfigurationTexts(self.variables, self.files))


def configuration(
    hash_: str,
    *,
    variables: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Configuration:
    """Return the configuration that the caller names *hash_*, with the given texts by name.

    Raises:
        Invalid: a name is none of a variable or file, or is the platform's.
        TooLarge: it has more than `BYTES_MAX`.
    """
    texts = ConfigurationTexts(dict(variables or {}), dict(files or {}))
    for name, text in texts.variables.items():
        check_variable(name)
        if "\0" in text:
            raise Invalid(f"the variable {name} has a NUL", target="/configuration/variables")
    for name in texts.files:
        if not _FILE.fullmatch(name):
            raise Invalid(
                "a file of a configuration must have a name of letters, digits and . _ -, with a"
                f" dot in it, such as app.json or .env, got {name[:90]!r}",
                target="/configuration/files",
            )
    try:
        size = sum(len(text.encode()) for each in vars(texts).values() for text in each.values())
    except UnicodeEncodeError as broken:
        raise Invalid("a configuration has texts of whole characters only") from broken
    if size > BYTES_MAX:
        raise TooLarge(
            f"a configuration has at most {BYTES_MAX} bytes, the texts of this one have {size}",
            target="/configuration",
        )
    return Configuration(hash_, _digests(texts.variables), _digests(texts.files), texts)


def digests_of(texts: ConfigurationTexts) -> Mapping[str, str]:
    """Return the digest of each text by its path, as `Configuration.digests`."""
    return _by_path(ConfigurationTexts(_digests(texts.variables), _digests(texts.files)))


def check_variable(name: str) -> None:
    """Refuse a *name* that is none of a variable, or that the platform gives a value itself.

    Raises:
        Invalid.
    """
    if not VARIABLE.fullmatch(name) or _OURS.fullmatch(name):
        raise Invalid(
            "a variable must have a name of letters, digits and _, at most 128, and none of the"
            f" platform's own (RUNTIME_…, PORT, HOME, TMPDIR, PATH), got {name[:90]!r}",
            target="/configuration/variables",
        )


def in_force(asked: Configuration, live: Mapping[str, str]) -> str:
    """Return the hash of *asked*, if the *live* digests are its; else which of them are not."""
    paths = sorted({*asked.digests, *live})
    others = [path for path in paths if asked.digests.get(path) != live.get(path)]
    return f"another in {', '.join(others[:_SHOWN])}" if others else asked.hash


def _digests(texts: Mapping[str, str]) -> Mapping[str, str]:
    return {name: _digest(text) for name, text in texts.items()}


def _digest(text: str) -> str:
    """Return 16 hex digits: enough to tell two texts apart, and too few to be the text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def _by_path(texts: ConfigurationTexts) -> Mapping[str, str]:
    return {
        f"{kind}/{name}": text
        for kind, by_name in ((VARIABLES, texts.variables), (FILES, texts.files))
        for name, text in by_name.items()
    }
