"""Runs uv with the package index that pip was given on this machine.

    .tools/uv/bin/python -m tools.uv pip install …

Lock files name no index, so pip's own settings (its files and `PIP_…` variables) say where packages
come from. uv reads none of them; here they become the variables that uv reads. One that is set
already stays.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

UV: Final = Path(sys.prefix) / "bin" / "uv"
# pip separates several values by spaces or lines; uv by spaces, paths to wheels by commas.
VARIABLES: Final[Mapping[str, tuple[str, str]]] = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "no-index": ("UV_NO_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}
SECTIONS: Final = ("global", "install", ":env:")
"""Of `pip config list`, the strongest last."""


def variables(listing: Iterable[str]) -> dict[str, str]:
    """Return uv's variables for the lines of `pip config list`: `section.key='value'`."""
    settings: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listing:
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in settings and key in VARIABLES:
            settings[section][key] = ast.literal_eval(value)
    strongest = {key: value for section in SECTIONS for key, value in settings[section].items()}
    return {
        VARIABLES[key][0]: VARIABLES[key][1].join(value.split()) for key, value in strongest.items()
    }


def main() -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listing = subprocess.run(pip, check=True, capture_output=True, text=True).stdout
    environ = {**variables(listing.splitlines()), **os.environ}
    os.execve(UV, [str(UV), *sys.argv[1:]], environ)  # noqa: S606  our own uv, no shell


if __name__ == "__main__":
    main()
