"""Looks up environments by name, and labels for the ids in events."""

import re
from collections.abc import Mapping
from typing import Any, Final, overload

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.fan_out import query_apps
from cli.session import only_match
from cli.typed import remember_name
from shared.kernel.ids import id_shape

_ENVIRONMENT_ID: Final = re.compile(id_shape("env"))
_ANY_ID: Final = re.compile(
    r"(?P<gate>gate-(?P<environment>[a-z2-7]{12})-[a-z2-7]{10}-(?P<rest>[0-9a-z]{16})-\d+-(?P<step>\d+))"
    r"|evt-(?P<event>[0-9a-f]{8})-[0-9a-f-]{27}"
    rf"|{'|'.join(map(id_shape, ('op', 'dep', 'svc', 'env')))}"
)


def find_environment(client: Client, name: str) -> Mapping[str, Any]:
    """Return the environment with that name or id.

    Raises:
        Failure: none has that name, or several have.
    """
    if _ENVIRONMENT_ID.fullmatch(name):
        environment: Mapping[str, Any] = client.get(f"/v1/runtime/environments/{name}").body
        return environment
    matches = list(client.list_all("/v1/runtime/environments", {"name": name}))
    remedy = "see `runtimectl env list`; if several projects have one of this name, use its id"
    environment = only_match(matches, "environment", name, remedy)
    remember_name(name, environment["environmentId"])
    return environment


def require_alone(identity: str, **selecting: str | None) -> str:
    """Return *identity*, which names one thing by itself.

    Raises:
        Failure: an option that selects was typed beside it: it would be left out without a word.
    """
    for name, value in selecting.items():
        if value is not None:
            raise Failure(
                f"{identity} is one by itself: --{name} {value} selects nothing of it",
                ExitCode.USAGE,
                remedy=f"leave out --{name}",
            )
    return identity


@overload
def environment_id(client: Client, name: str) -> str: ...
@overload
def environment_id(client: Client, name: str | None) -> str | None: ...
def environment_id(client: Client, name: str | None) -> str | None:
    """Return the id of the environment called *name*; None without a name.

    An id is one already: of another tenant's environment the caller's tenant can read nothing else.

    Raises:
        Failure: none has that name, or several have.
    """
    if name is None or _ENVIRONMENT_ID.fullmatch(name):
        return name
    return str(find_environment(client, name)["environmentId"])


def environment_name(client: Client, name: str) -> str:
    """Return the name of the environment with that name or id; of another tenant's the id."""
    if not _ENVIRONMENT_ID.fullmatch(name):
        return name
    try:
        return str(find_environment(client, name)["name"])
    except Failure as failure:
        if failure.exit_code is not ExitCode.NOT_FOUND:
            raise
        return name


def environment_names(client: Client) -> Mapping[str, str]:
    """Return the names of all environments, by id."""
    environments = client.list_all("/v1/runtime/environments")
    return {environment["environmentId"]: environment["name"] for environment in environments}


def with_environment(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return *row* with the name of its environment, of *names*; another tenant's has its id."""
    identity = row["environmentId"]
    return {**row, "environment": names.get(identity, identity)}


def endpoint_of(environment: Mapping[str, Any]) -> str | None:
    """Return the public URL of an environment, if it has one."""
    endpoints = [target.get("endpoint") for target in environment.get("provisioned", ())]
    return next((endpoint for endpoint in endpoints if endpoint), None)


def id_labels(client: Client) -> Mapping[str, str]:
    """Return a label for the id of every environment, deployment, service and operation."""
    names = environment_names(client)
    labels = dict(names)
    for deployment in client.list_all("/v1/runtime/deployments"):
        environment = names.get(deployment["environmentId"], deployment["environmentId"])
        labels[deployment["deploymentId"]] = f"{deployment['releaseRef']} in {environment}"
    for service in client.list_all("/v1/runtime/services"):
        environment = names.get(service["environmentId"], service["environmentId"])
        labels[service["serviceId"]] = f"{service['moduleId']} in {environment}"
    for operation in query_apps(client, "operations"):
        labels[operation["operationId"]] = operation["kind"]
    return labels


def replace_ids(text: str, labels: Mapping[str, str]) -> str:
    """Return *text* with a label for each id in it; a gate gets its deployment's label."""

    def label(match: re.Match[str]) -> str:
        if match["gate"]:
            deployment = f"dep-{match['environment']}-{match['rest']}"
            return f"gate {int(match['step']) + 1} of {labels.get(deployment, match['gate'])}"
        return labels.get(match[0]) or (f"evt-{match['event']}…" if match["event"] else match[0])

    return _ANY_ID.sub(label, text)
