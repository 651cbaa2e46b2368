"""What is said of Gateways and routes, as the Gateway API has it; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from local_cluster.gateway_routes import CONTROLLER, RouteVerdict
from local_cluster.kubernetes_api import Document
from local_cluster.watches import Key, key_of
from shared.kernel.clock import isoformat

_KINDS: Final = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}]


def of_class(found: Document, now: datetime) -> Document:
    return {"conditions": [_condition(found, now, "Accepted", "Accepted", "")]}


def of_gateway(found: Document, address: str, attached: int, now: datetime) -> Document:
    accepted = _condition(found, now, "Accepted", "Accepted", "")
    programmed = _condition(found, now, "Programmed", "Programmed", "")
    listeners = [
        {
            "name": listener["name"],
            "supportedKinds": _KINDS,
            "attachedRoutes": attached,
            "conditions": [
                accepted,
                programmed,
                _condition(found, now, "ResolvedRefs", "ResolvedRefs", ""),
            ],
        }
        for listener in found["spec"]["listeners"]
    ]
    return {
        "addresses": [{"type": "IPAddress", "value": address}],
        "conditions": [accepted, programmed],
        "listeners": listeners,
    }


def of_route(found: Document, verdict: RouteVerdict, now: datetime) -> Document:
    refused, absent = verdict.refusal, verdict.unresolved
    conditions = [
        _condition(found, now, "Accepted", "UnsupportedValue" if refused else "Accepted", refused),
        _condition(
            found, now, "ResolvedRefs", "BackendNotFound" if absent else "ResolvedRefs", absent
        ),
    ]
    own = key_of(found)[0]
    parents = [
        {"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}
        for parent in found["spec"].get("parentRefs") or ()
        if (parent.get("namespace", own), parent["name"]) in verdict.gateways
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


def attached_routes(gateway: Key, verdicts: Mapping[Key, RouteVerdict]) -> int:
    return sum(gateway in v.gateways and not v.refusal for v in verdicts.values())
