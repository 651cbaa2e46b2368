"""What is said of Gateways and routes, as the Gateway API has it; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from local_cluster.gateway_routes import CONTROLLER, RouteVerdict
from local_cluster.kubernetes_api import Document
from local_cluster.watches import Key
from shared.kernel.clock import isoformat

_KINDS: Final = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}]


def of_class(found: Document, now: datetime) -> Document:
    return {"conditions": [_condition(found, now, "Accepted", "Accepted", "")]}


def of_gateway(
    found: Document, address: str, attached: Mapping[str, int], now: datetime
) -> Document:
    """Return the status of a Gateway at *address*; *attached* are its routes by listener."""
    accepted = _condition(found, now, "Accepted", "Accepted", "")
    programmed = _condition(found, now, "Programmed", "Programmed", "")
    listeners = [
        {
            "name": listener["name"],
            "supportedKinds": _KINDS,
            "attachedRoutes": attached.get(listener["name"], 0),
            "conditions": _of_listener(found, listener, now),
        }
        for listener in found["spec"]["listeners"]
    ]
    return {
        "addresses": [{"type": "IPAddress", "value": address}],
        "conditions": [accepted, programmed],
        "listeners": listeners,
    }


def _of_listener(found: Document, listener: Document, now: datetime) -> list[Document]:
    other = "" if listener["protocol"] == "HTTP" else f"{listener['protocol']} is not served here"
    return [
        _condition(found, now, "Accepted", "UnsupportedProtocol" if other else "Accepted", other),
        _condition(found, now, "Programmed", "Invalid" if other else "Programmed", other),
        _condition(found, now, "ResolvedRefs", "ResolvedRefs", ""),
    ]


def of_route(found: Document, verdict: RouteVerdict, now: datetime) -> Document:
    absent = verdict.unresolved
    resolved = _condition(
        found, now, "ResolvedRefs", "BackendNotFound" if absent else "ResolvedRefs", absent
    )
    parents = [
        {
            "parentRef": parent.reference,
            "controllerName": CONTROLLER,
            "conditions": [
                _condition(found, now, "Accepted", parent.reason or "Accepted", parent.refusal),
                resolved,
            ],
        }
        for parent in verdict.parents
    ]
    return {"parents": parents}


def is_said(found: Document, status: Document) -> bool:
    """Return whether *found* has *status*, the times of its conditions aside."""
    current = found.get("status") or {}
    return all(_timeless(current.get(name)) == _timeless(value) for name, value in status.items())


def _condition(
    found: Document, now: datetime, kind: str, reason: str, message: str
) -> Mapping[str, Any]:
    return {
        "type": kind,
        "status": "False" if message else "True",
        "reason": reason,
        "message": message,
        "observedGeneration": found["metadata"]["generation"],
        "lastTransitionTime": isoformat(now).partition(".")[0] + "Z",
    }


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {name: _timeless(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if name != "lastTransitionTime"}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_timeless(each) for each in value]
    return value


def attached_routes(gateway: Key, verdicts: Mapping[Key, RouteVerdict]) -> Mapping[str, int]:
    """Return how many routes each listener of *gateway* has taken, by its name."""
    return Counter(
        name
        for verdict in verdicts.values()
        for name in {
            listener.name
            for parent in verdict.parents
            if parent.gateway == gateway
            for listener in parent.hosts
        }
    )
