"""Reads of a kubeconfig where a cluster answers, and how we show who we are.

What is read is a part of the format, in which nothing runs a program and nothing is believed
unproved. The rest is refused with what to do instead.
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

import base64
import binascii
import logging
import stat
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from shared.kernel.dataclass import dataclass
from shared.persistence.disk_errors import reason_of
from shared.surfaces.aks.cluster_errors import ClusterRefused

_log = logging.getLogger(__name__)
BYTES_MAX: Final = 256 * 1024
"""Of a kubeconfig, and of each file that it names; YAML of that size takes a second to read."""
_OTHERS: Final = "use a token, a tokenFile or a client certificate"
_OF_A_CLUSTER: Final[Mapping[str, str]] = {
    "insecure-skip-tls-verify": "give the cluster's certificate-authority-data",
    "proxy-url": "connect from where the API server answers directly",
    "tls-server-name": "name the server as its certificate does",
}
_OF_A_USER: Final[Mapping[str, str]] = {
    "exec": f"no program is run for a token: {_OTHERS}, and for AKS RUNTIME_AKS_CLUSTER_ID",
    "auth-provider": _OTHERS,
    "username": _OTHERS,
    "password": _OTHERS,
    "as": "bind the roles to the user itself",
    "as-uid": "bind the roles to the user itself",
    "as-groups": "bind the roles to the user itself",
    "as-user-extra": "bind the roles to the user itself",
}
"""Fields that mean something else than what we would do, with what to do instead."""
_CLUSTER_FIELDS: Final = frozenset(
    {"server", "certificate-authority", "certificate-authority-data", "disable-compression"}
)
_USER_FIELDS: Final = frozenset(
    {
        *("token", "tokenFile", "client-certificate", "client-certificate-data"),
        *("client-key", "client-key-data"),
    }
)
_IGNORED: Final = frozenset({"extensions"})
_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "bool", "null", "seq", "map", "merge")
)
_NUMBERS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp"))


@dataclass(frozen=True)
class ClusterAddress:
    """Where an API server answers; `authority` is PEM, None for the machine's authorities."""

    server: str
    authority: str | None
    namespace: str


@dataclass(frozen=True)
class UserProof:
    """How we show who we are: by a token, one that a file has, a certificate, or not at all."""

    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Context:
    """One context of a kubeconfig: its entries as they are written; `source` names it to people.

    Relative paths count from *folder*; where it is None no file is read.
    """

    source: str
    cluster: Mapping[str, Any]
    user: Mapping[str, Any] = field(repr=False)
    namespace: str
    folder: Path | None

    def address(self) -> ClusterAddress:
        """Return where the cluster answers. Raises ClusterRefused."""
        self._check(self.cluster, _CLUSTER_FIELDS, _OF_A_CLUSTER)
        server = self._text(self.cluster, "server")
        try:
            parts = urlsplit(server or "")
            is_address = bool(parts.hostname) and parts.port != 0
        except ValueError:  # brackets without an address, a port that is none
            parts, is_address = urlsplit(""), False
        if not is_address or parts.scheme != "https":
            raise self._refused("server: expected https://…, as tokens are sent there")
        if parts.username is not None or parts.query or parts.fragment:
            raise self._refused("server: expected an address without user, query and fragment")
        authority = self._content(self.cluster, "certificate-authority")
        return ClusterAddress(str(server).rstrip("/"), authority, self.namespace)

    def proof(self) -> UserProof:
        """Return how we show who we are there. Raises ClusterRefused."""
        self._check(self.user, _USER_FIELDS, _OF_A_USER)
        certificate = self._content(self.user, "client-certificate")
        key = self._content(self.user, "client-key")
        if (certificate is None) != (key is None):
            raise self._refused("client-certificate and client-key belong together")
        file = self._text(self.user, "tokenFile")
        path = None if file is None else self._path("tokenFile", file)
        return UserProof(self._text(self.user, "token"), path, certificate, key)

    def _check(
        self, entry: Mapping[str, Any], known: AbstractSet[str], fixes: Mapping[str, str]
    ) -> None:
        for name, value in entry.items():
            if name in fixes and value not in (None, False, "", [], {}):
                raise self._refused(f"{name} is not supported: {fixes[name]}")
            if name not in known and name not in fixes and name not in _IGNORED:
                raise self._refused(f"{name} is not a field that is read: remove it")

    def _text(self, entry: Mapping[str, Any], name: str) -> str | None:
        value = entry.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or not value.isprintable():
            raise self._refused(f"{name}: expected a text of one line")
        return value

    def _content(self, entry: Mapping[str, Any], name: str) -> str | None:
        """Return the PEM that stands in the field `<name>-data`, else in the file *name*."""
        data = self._text(entry, f"{name}-data")
        file = self._text(entry, name)
        try:
            if data is not None:
                return base64.b64decode(data, validate=True).decode("ascii")
            if file is not None:
                return read_bounded(self._path(name, file)).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            raise self._refused(f"{name}: expected PEM, in the field -data as base64") from None
        except OSError as problem:
            raise self._refused(f"{name}: {file} cannot be read: {reason_of(problem)}") from problem
        return None

    def _path(self, name: str, file: str) -> Path:
        if self.folder is None:
            raise self._refused(f"{name}: a file is named where there is none")
        return self.folder / file

    def _refused(self, problem: str) -> ClusterRefused:
        return ClusterRefused(f"{self.source}: {problem}")


def read_context(path: Path, name: str | None = None) -> Context:
    """Return the context *name* of the file *path*, without it the current one.

    Raises:
        ClusterRefused: the file cannot be read, is too large, or has no such context.
    """
    try:
        content = read_bounded(path)
        if path.stat().st_mode & stat.S_IROTH:
            _log.warning("everybody on this machine can read %s: chmod 600 %s", path, path)
    except OSError as problem:
        raise ClusterRefused(f"{path} cannot be read: {reason_of(problem)}") from problem
    return parsed_context(content, source=str(path), name=name, folder=path.absolute().parent)


def parsed_context(
    content: bytes, *, source: str, name: str | None = None, folder: Path | None = None
) -> Context:
    """Return the context *name* of the kubeconfig *content*. Raises ClusterRefused."""
    config = _mapping(content, source)
    context = name or config.get("current-context")
    if not isinstance(context, str) or not context:
        raise ClusterRefused(f"{source}: it has no current-context: name one")
    entry = _entry(config, "context", context, source)
    namespace, user = entry.get("namespace") or "default", entry.get("user")
    if not isinstance(namespace, str):
        raise ClusterRefused(f"{source}: namespace: expected a text")
    return Context(
        f"{source}, context {context}",
        _entry(config, "cluster", entry.get("cluster"), source),
        {} if not user else _entry(config, "user", user, source),
        namespace,
        folder,
    )


def read_bounded(path: Path) -> bytes:
    """Return what the file *path* has. Raises OSError, also where it is too large or no file.

    Links are followed: the secrets of a pod are links.
    """
    if not path.is_file():
        raise FileNotFoundError("there is no such file")
    with path.open("rb") as file:
        content = file.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise OSError(f"it has more than {BYTES_MAX} bytes")
    return content


def _mapping(content: bytes, source: str) -> Mapping[str, Any]:
    if len(content) > BYTES_MAX:
        raise ClusterRefused(f"{source}: it has more than {BYTES_MAX} bytes")
    try:
        config = _plain_yaml(content)
    except Exception:  # noqa: BLE001  of any kind, and its words have what stands there: a token
        raise ClusterRefused(f"{source}: it is not YAML") from None
    if not isinstance(config, dict) or config.get("kind", "Config") != "Config":
        raise ClusterRefused(f"{source}: it is no kubeconfig: expected kind: Config")
    return config


def _plain_yaml(content: bytes) -> Any:
    """Return the YAML *content*, of texts, truth values, nulls, lists and mappings.

    A number or a time is 1, as no field is one: to read `1:1:1`, to the base of 60, takes seconds.
    """
    import yaml  # noqa: PLC0415  slow to import

    class PlainLoader(yaml.SafeLoader):
        pass

    PlainLoader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag in _TAGS | _NUMBERS]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    PlainLoader.yaml_constructors = {
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag in _TAGS
    } | dict.fromkeys(_NUMBERS, lambda *_: 1)
    return yaml.load(content, PlainLoader)  # noqa: S506  a SafeLoader with fewer kinds


def _entry(config: Mapping[str, Any], kind: str, name: Any, source: str) -> Mapping[str, Any]:
    """Return the first entry called *name* of the list of *kind*s, as kubectl does."""
    if not isinstance(name, str):  # nor is it written out: with aliases that could be gigabytes
        raise ClusterRefused(f"{source}: {kind}: expected the name of one")
    listed = config.get(f"{kind}s")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            found = entry.get(kind) or {}
            if isinstance(found, dict):
                return found
    raise ClusterRefused(f"{source}: it has no {kind} {name[:100]!r}")
