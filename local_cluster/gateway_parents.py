"""To which listeners a route belongs, and for which hosts, as the Gateway API says; pure.

Each `parentRefs` entry is judged by itself: `sectionName` and `port` choose listeners of a Gateway,
a listener takes routes of the namespaces that it allows, and its host name narrows theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from local_cluster.kubernetes_api import Document
from local_cluster.watches import Key

ANY_HOST: Final = "*"
_GATEWAY: Final = ("gateway.networking.k8s.io", "Gateway")


@dataclass(frozen=True, order=True)
class Listener:
    """One listener of a Gateway for HTTP."""

    name: str
    port: int
    host: str = ANY_HOST


@dataclass(frozen=True)
class ParentVerdict:
    """What becomes of a route at one of its parents.

    `reason` and `refusal` say why it is not accepted, empty where it is.
    """

    reference: Document
    gateway: Key
    hosts: Mapping[Listener, tuple[str, ...]]
    """By each listener that takes it: for which hosts."""
    reason: str = ""
    refusal: str = ""


def http_listeners(gateway: Document) -> list[Listener]:
    return [
        Listener(each["name"], each["port"], each.get("hostname") or ANY_HOST)
        for each in gateway["spec"]["listeners"]
        if each["protocol"] == "HTTP"
    ]


def gateway_of(reference: Document, namespace: str) -> Key | None:
    """Return the Gateway that a `parentRefs` entry of a route in *namespace* names, if it does."""
    kind = (reference.get("group", _GATEWAY[0]), reference.get("kind", _GATEWAY[1]))
    return (reference.get("namespace", namespace), reference["name"]) if kind == _GATEWAY else None


def judge(
    reference: Document,
    key: Key,
    gateway: Document,
    namespace: tuple[str, Document],
    hostnames: Sequence[str],
) -> ParentVerdict:
    """Return what becomes of a route for *hostnames* at *gateway*, one of its parents.

    *namespace* is that of the route, with its name; the reasons are those of the Gateway API.
    """
    takes = {
        each["name"]: _allows(each, namespace, key[0]) for each in gateway["spec"]["listeners"]
    }
    named = [
        each
        for each in http_listeners(gateway)
        if reference.get("sectionName") in {None, each.name}
        and reference.get("port") in {None, each.port}
    ]
    allowed = [each for each in named if takes[each.name]]
    asked = tuple(hostnames) or (ANY_HOST,)
    shared = {each: shared_hosts(each.host, asked) for each in allowed}
    hosts = {listener: found for listener, found in shared.items() if found}
    if hosts:
        return ParentVerdict(reference, key, hosts)
    at = f"Gateway {key[1]}"
    if not named:
        why = "NoMatchingParent", f"{at} has no listener for HTTP of that sectionName and port"
    elif not allowed:
        why = "NotAllowedByListeners", f"{at} has no listener that takes routes of {namespace[0]}"
    else:
        why = "NoMatchingListenerHostname", f"{at} has no listener for any of {', '.join(asked)}"
    return ParentVerdict(reference, key, {}, *why)


def shared_hosts(listener: str, hostnames: Sequence[str]) -> tuple[str, ...]:
    """Return the hosts that both have: of two that cover one another, the narrower one."""
    found = []
    for each in hostnames:
        if covers(listener, each):
            found.append(each)
        elif covers(each, listener):
            found.append(listener)
    return tuple(dict.fromkeys(found))


def covers(pattern: str, host: str) -> bool:
    """Return whether all requests for *host* are for *pattern*; either may begin with `*.`."""
    if pattern in {ANY_HOST, host}:
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:])


def closest(patterns: Sequence[str], host: str) -> str | None:
    """Return the narrowest of *patterns* that covers *host*: itself before any wildcard."""
    covering = [each for each in patterns if covers(each, host)]
    return max(covering, key=lambda each: (each == host, len(each)), default=None)


def _allows(listener: Document, namespace: tuple[str, Document], gateways_own: str) -> bool:
    name, found = namespace
    allowed = listener.get("allowedRoutes", {}).get("namespaces", {})
    labels = found.get("metadata", {}).get("labels", {})
    match allowed.get("from", "Same"):
        case "All":
            return True
        case "Same":
            return name == gateways_own
        case "Selector":
            wanted = allowed.get("selector", {})
            matched = wanted.get("matchLabels", {}).items() <= labels.items()
            return matched and not wanted.get("matchExpressions")
        case _:
            return False
