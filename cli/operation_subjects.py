"""Names what operations work on, as people call it: a module, a secret, a deployment."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cli.client import Client
from cli.deployment_words import deployment_words
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_names
from cli.secret_bindings import BINDINGS, rotations_of
from cli.watch_rollout import ROOT
from shared.kernel.ids import id_shape

_ID: Final = re.compile("|".join(map(id_shape, ("env", "dep", "svc", "sec", "rot", "tb"))))
_ROTATION_NUMBER: Final = re.compile(r"-[0-9]+$")


def with_subjects(client: Client, operations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return *operations*, each with what it works on as `about`: its id where it has no name."""
    ids = [_id_of(each) for each in operations]
    names = dict(_names(client, {each for each in ids if each}))
    return [
        {**operation, "about": names.get(identity, identity)}
        for operation, identity in zip(operations, ids, strict=True)
    ]


def _id_of(operation: Mapping[str, Any]) -> str:
    found = _ID.search(str(operation.get("resourceId", "")))
    identity = found[0] if found else ""
    # The rotations of a secret share its name.
    return _ROTATION_NUMBER.sub("", identity) if identity.startswith("rot-") else identity


def _names(client: Client, ids: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the names of what has *ids*; only what is needed for them is asked for."""
    kinds = {each.partition("-")[0] for each in ids}
    environments = environment_names(client) if kinds else {}
    yield from environments.items()
    if "svc" in kinds:
        for service in client.list_readable("/v1/runtime/services") or ():
            where = environments.get(service["environmentId"], service["environmentId"])
            yield service["serviceId"], f"{service['moduleId']} in {where}"
    if kinds & {"sec", "rot"}:
        for binding in client.list_readable(BINDINGS) or ():
            where = environments.get(binding["environmentId"], binding["environmentId"])
            name = binding["secretName"]
            yield binding["bindingId"], f"{name} of {binding['moduleId']} in {where}"
            yield rotations_of(binding).rstrip("-"), f"{name} in {where}"
    for identity in sorted(each for each in ids if each.startswith("dep-")):
        if (deployment := _deployment(client, identity)) is not None:
            where = environments.get(deployment["environmentId"], deployment["environmentId"])
            yield identity, f"{deployment_words(deployment)} in {where}"


def _deployment(client: Client, identity: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = client.get(f"{ROOT}/{identity}").body
    except Failure as failure:
        if failure.exit_code not in {ExitCode.NOT_FOUND, ExitCode.REFUSED}:
            raise
        return None
    return found
