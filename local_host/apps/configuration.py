"""The configuration of one app: `host.json`, app settings, connections.

App settings are the process's environment, then `Values` of `local.settings.json` for what the
environment does not have. `host.json` values are overridden by the settings
`AzureFunctionsJobHost__section__key`. Names are compared ignoring case.
https://learn.microsoft.com/azure/azure-functions/functions-host-json
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from local_host.apps import expressions
from local_host.apps.timespans import parse_timespan
from shared.composition.settings import LOCAL, PROFILE

EMBEDDED: Final = "embedded"
"""The value of a connection to the host's own cloud, as if it had none."""
NO_CLOUD: Final = (
    "its binding {binding!r} has no connection, and a host that runs with --join has no cloud of"
    " its own: set {setting} to a connection string, or {setting}__{address}"
)
"""Why a function cannot run beside other instances of its app."""
_OVERRIDE: Final = "azurefunctionsjobhost__"
_COMMENTS: Final = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRUE: Final = {"true", "1"}


class ConfigurationRefused(Exception):
    """A configuration file cannot be used; the message names the file and what to write."""


@dataclass(frozen=True)
class Connection:
    """The target of a `connection` property: a connection string, or an identity's settings.

    `identity` keeps the part after `X__` as its key, `fullyQualifiedNamespace` say.
    """

    name: str
    text: str | None = None
    identity: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """One app's settings, already merged."""

    app: str
    host: Mapping[str, Any]
    """`host.json`, overrides applied; values that came from overrides are text."""
    values: Mapping[str, str]

    def host_value(self, *path: str) -> Any:
        """Return the `host.json` value at *path*, None when it is not there."""
        value: Any = self.host
        for key in path:
            if not isinstance(value, Mapping):
                return None
            value = next((v for k, v in value.items() if k.lower() == key.lower()), None)
        return value

    def text(self, *path: str, default: str) -> str:
        value = self.host_value(*path)
        return default if value is None else str(value)

    def flag(self, *path: str, default: bool) -> bool:
        value = self.host_value(*path)
        return default if value is None else str(value).lower() in _TRUE

    def number(self, *path: str, default: int) -> int:
        value = self.host_value(*path)
        try:
            return default if value is None else int(value)
        except (TypeError, ValueError) as problem:
            raise self._refused(path, "a whole number", value) from problem

    def duration(self, *path: str, default: timedelta) -> timedelta:
        value = self.host_value(*path)
        try:
            return default if value is None else parse_timespan(str(value))
        except ValueError as problem:
            raise self._refused(path, "a time span such as 00:05:00", value) from problem

    def _refused(self, path: tuple[str, ...], expected: str, value: Any) -> ConfigurationRefused:
        return ConfigurationRefused(
            f"host.json of {self.app}: {'.'.join(path)} is {value!r}; write {expected}"
        )

    def resolve(self, text: str) -> str:
        """Return *text* with `%NAME%` replaced. Raises ExpressionRefused."""
        return expressions.resolve(text, self.values)

    def is_set(self, name: str) -> bool:
        """Return whether the app setting *name* says `true` or `1`."""
        return self.values.get(name, "").lower() in _TRUE

    @property
    def is_local(self) -> bool:
        """Whether the app runs in the profile for work on one machine."""
        return self.values.get(PROFILE) == LOCAL

    def connection(self, name: str | None, default: str) -> Connection | None:
        """Return the connection a binding names (*default* when it names none).

        None where there is none, or it is `embedded`: the host's own cloud stands for it. Looks for
        `AzureWebJobs<name>`, then `<name>`, each first under `ConnectionStrings:`.
        """
        wanted = name or default
        for prefixed in (f"AzureWebJobs{wanted}", wanted):
            for key in (
                f"ConnectionStrings:{prefixed}",
                f"ConnectionStrings__{prefixed}",
                prefixed,
            ):
                if text := self.values.get(key):
                    return None if text == EMBEDDED else Connection(wanted, text)
            section = self._section(prefixed)
            if section:
                return Connection(wanted, None, section)
        return None

    def _section(self, name: str) -> dict[str, str]:
        prefixes = (f"{name}__".lower(), f"{name}:".lower())
        return {
            key[len(name) :].lstrip("_:"): value
            for key, value in self.values.items()
            if key.lower().startswith(prefixes)
        }


def load(
    app: str,
    folder: Path | None,
    environ: Mapping[str, str],
    *,
    host_json: Mapping[str, Any] | None = None,
    values: Mapping[str, str] | None = None,
) -> Configuration:
    """Return the configuration of *app*; *host_json* and *values* stand in for the files.

    Raises:
        ConfigurationRefused: a file is no JSON object, has no version "2.0", or is encrypted.
    """
    host = dict(host_json) if host_json is not None else _host_json(folder)
    local = _local_settings(folder)
    merged = {**local, **environ, **(values or {})}
    return Configuration(app, _overridden(host, merged), merged)


def local_http(folder: Path) -> Mapping[str, Any]:
    """Return the `Host` section of `local.settings.json`: `LocalHttpPort`, `CORS`."""
    section = _object(folder / "local.settings.json").get("Host")
    return section if isinstance(section, Mapping) else {}


def _host_json(folder: Path | None) -> dict[str, Any]:
    if folder is None or not (folder / "host.json").exists():
        return {"version": "2.0"}
    host = _object(folder / "host.json")
    if host.get("version") != "2.0":
        raise ConfigurationRefused(
            f'{folder / "host.json"}: version is {host.get("version")!r}; write "version": "2.0"'
        )
    return host


def _local_settings(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    path = folder / "local.settings.json"
    settings = _object(path)
    if settings.get("IsEncrypted"):
        raise ConfigurationRefused(
            f"{path} is encrypted: run `func settings decrypt`, or write plain Values"
        )
    values = settings.get("Values", {})
    strings = settings.get("ConnectionStrings", {})
    if not isinstance(values, dict) or not isinstance(strings, dict):
        raise ConfigurationRefused(f"{path}: Values and ConnectionStrings must be objects")
    wrong = sorted(key for key, value in values.items() if not isinstance(value, str))
    if wrong:
        raise ConfigurationRefused(
            f"{path}: Values are text; put {', '.join(wrong)} in quotes, nest with __"
        )
    return {**values, **{f"ConnectionStrings:{key}": str(text) for key, text in strings.items()}}


def _object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(_COMMENTS.sub(lambda match: match[1] or "", text))
    except (ValueError, RecursionError) as problem:
        raise ConfigurationRefused(f"{path} is not JSON: {problem}") from problem
    except OSError as problem:
        raise ConfigurationRefused(f"{path} cannot be read: {problem.strerror}") from problem
    if not isinstance(content, dict):
        raise ConfigurationRefused(f"{path} must hold a JSON object")
    return content


def _overridden(host: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    for name, value in values.items():
        if name.lower().startswith(_OVERRIDE):
            host = _with(host, name[len(_OVERRIDE) :].split("__"), value)
    return host


def _with(section: Mapping[str, Any], path: list[str], value: str) -> dict[str, Any]:
    head, *tail = path
    key = next((k for k in section if k.lower() == head.lower()), head)
    inner = section.get(key)
    below = inner if isinstance(inner, Mapping) else {}
    return {**section, key: _with(below, tail, value) if tail else value}
