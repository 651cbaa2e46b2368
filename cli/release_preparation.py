"""Brings about what a release file says beside the release, before the release is deployed.

A deployment gives what deployments has heard of when it is asked for, and it hears of a publish by
an event. So its plan is asked until it has what was published and bound.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from cli.client import Client
from cli.configuration_files import LayerFile, publish_file
from cli.configuration_layers import ROOT as CONFIGURATIONS
from cli.configuration_layers import TENANT, Content, Layer, put_in_force
from cli.configuration_tables import difference_words
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Invocation
from cli.output import note
from cli.plans import require_plannable
from cli.release_sections import Sections
from cli.secret_bindings import bind_secret
from cli.secret_words import plan_words
from cli.wait_for_events import EVENT_WITHIN_S, EventWait
from cli.watch_operation import wait_for_success
from cli.watch_rollout import ROOT
from shared.kernel.clock import Clock

_BINDING_WITHIN_S: Final = 60.0
_MAY_BE_MENDED: Final = {
    "ConfigurationVariableTaken", "EnvironmentUnknown", "Held", "Invalid", "NaturalKeyActive",
    "QueueFull", "QueueTaken", "SchemaTooCostly", "SchemaViolated", "TooLarge",
}  # fmt: skip
"""What a plan refuses and may take once other configuration is published, or time has passed."""


@dataclass(frozen=True)
class _Published:
    """A layer, and its version that the release is to be given."""

    layer: Layer
    version: int


def say_sections(sections: Sections, request: Mapping[str, Any], invocation: Invocation) -> None:
    """Say what would be published and bound before the deployment *request*.

    Raises:
        Failure: something is refused; what is refused of secrets is said of all of them.
    """
    for entry, layer, current in _layers(sections, request, invocation.client):
        if current.says(entry.values, entry.schema):
            note(f"configuration: {layer.label}: nothing differs from version {current.version}")
            continue
        difference = publish_file(invocation, entry, layer, current, dryRun=True)
        note(f"configuration: {layer.label}: would publish {difference_words(difference)}")
    refused: list[Failure] = []
    for secret in sections.secrets:
        body = {"environmentId": request["environmentId"], **secret, "dryRun": True}
        try:
            plan = bind_secret(invocation, body).body
            state = plan_words(plan, body)
            for each in plan["refusals"]:
                state += f": {each['message']}"
                refused.append(_would_fail(each, secret))
        except Failure as failure:
            if failure.exit_code not in {ExitCode.REFUSED, ExitCode.CONFLICT, ExitCode.NOT_FOUND}:
                raise
            refused.append(failure)
            differences = "; ".join(each.text() for each in failure.details)
            state = f"is refused: {failure.message}" + (f" ({differences})" if differences else "")
        note(f"secret: {secret['secretName']} of {secret['moduleId']} {state}")
    if refused:
        raise refused[0]


def _would_fail(refusal: Mapping[str, Any], secret: Mapping[str, Any]) -> Failure:
    return Failure(
        f"{secret['secretName']} of {secret['moduleId']} cannot be bound: {refusal['message']}",
        ExitCode.REFUSED,
        code=str(refusal["code"]),
    )


def prepare_release(
    sections: Sections, request: Mapping[str, Any], invocation: Invocation
) -> Sequence[str]:
    """Publish and bind what *sections* say, until a deployment *request* would be given it.

    Return what was put in force, in words. What was published just before, by another command, is
    waited for too.

    Raises:
        Failure: something is refused, or is not heard of in time. Nothing is published or bound
            where the plan of *request* is refused for what that would not mend.
    """
    client, clock = invocation.client, invocation.session.clock
    layers = [*_layers(sections, request, client)]
    if sections.secrets or not all(_is_in_force(entry, current) for entry, _, current in layers):
        _require_deployable(request, client)
    published, done = [], list[str]()
    with naming(done):
        for entry, layer, current in layers:
            version = current.version
            if not _is_in_force(entry, current):
                version = int(publish_file(invocation, entry, layer, current)["version"])
                done.append(put_in_force(layer, version))
                note(f"configuration: {layer.label}: published version {version}")
            published.append(_Published(layer, version))
        for secret in sections.secrets:
            done += _bind(secret, request, invocation)
        published += _in_force(request, client)
        if published or sections.secrets:
            _wait_until_given(published, sections.secrets, request, client, clock)
    return done


@contextmanager
def naming(done: Sequence[str]) -> Iterator[None]:
    """Have a failure within name what was *done* before it, and stays."""
    try:
        yield
    except Failure as failure:
        raise failure.but(*done) from failure


def _is_in_force(entry: LayerFile, current: Content) -> bool:
    return bool(current.version) and current.says(entry.values, entry.schema)


def _require_deployable(request: Mapping[str, Any], client: Client) -> None:
    plan = client.write("POST", ROOT, {**request, "dryRun": True}).body
    refusals = [each for each in plan["refusals"] if each["code"] not in _MAY_BE_MENDED]
    with naming(["nothing was published or bound"]):
        require_plannable(refusals, are_shown=False)


def _layers(
    sections: Sections, request: Mapping[str, Any], client: Client
) -> Iterator[tuple[LayerFile, Layer, Content]]:
    for entry in sections.layers:
        layer = entry.find_layer(client, str(request["environmentId"]))
        yield entry, layer, layer.in_force(client)


def _in_force(request: Mapping[str, Any], client: Client) -> Iterator[_Published]:
    """Yield the layers in force of which a deployment *request* is given the newest version."""
    if request.get("configuration"):
        return
    where = str(request["environmentId"])
    modules = {component.get("moduleId") for component in request.get("components", ())}
    for query in ({"environmentId": where}, {"layer": TENANT}):
        for head in client.list_readable(CONFIGURATIONS, query) or ():
            scope = head["scope"]
            if head["version"] and scope.get("moduleId") in {None, *modules}:
                layer = Layer(scope["layer"], where, where, scope.get("moduleId"))
                yield _Published(layer, head["version"])


def _bind(
    secret: Mapping[str, Any], request: Mapping[str, Any], invocation: Invocation
) -> Iterator[str]:
    """Have *secret* bound and say so; one that is bound as it is asked for stays as it is."""
    title = f"secret {secret['secretName']} of {secret['moduleId']}"
    body = {"environmentId": request["environmentId"], **secret}
    response = bind_secret(invocation, body)
    if response.body["status"] == "Bound":
        return
    if response.operation is not None:
        session, form = invocation.session, invocation.output
        wait_for_success(session, response.operation, title, _BINDING_WITHIN_S, form)
    note(f"{title}: bound")
    yield f"the {title} is bound"


def _wait_until_given(
    published: Sequence[_Published],
    secrets: Sequence[Mapping[str, Any]],
    request: Mapping[str, Any],
    client: Client,
    clock: Clock,
) -> None:
    """Return when a plan of *request* has all of it, or refuses the release for another reason.

    Raises:
        Failure: deployments does not hear of it in time.
    """
    wait = EventWait(clock)
    while True:
        plan = client.write("POST", ROOT, {**request, "dryRun": True}).body
        missing = [*_missing(plan["components"], published, secrets)]
        if plan["refusals"] or not missing:
            return
        unheard = f"deployments has not heard of {missing[0]}"
        if wait.is_over:
            raise Failure(
                f"{unheard} within {EVENT_WITHIN_S:.0f} s",
                ExitCode.UNAVAILABLE,
                remedy="look at what is parked (`runtimectl parked`), then type the command again",
            )
        wait.pause(unheard)


def _missing(
    components: Sequence[Mapping[str, Any]],
    published: Sequence[_Published],
    secrets: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """Yield what *components* of a plan are not given yet."""
    for component in components:
        pin = component.get("configuration") or {}
        for each in published:
            is_its_own = each.layer.module in {None, component["moduleId"]}
            if is_its_own and (pin.get(each.layer.kind) or 0) < each.version:
                yield f"version {each.version} of {each.layer.label}"
        given = {secret["name"] for secret in component.get("secrets", ())}
        for secret in secrets:
            is_its_own = secret["moduleId"] == component["moduleId"]
            if is_its_own and secret["secretName"] not in given:
                yield f"the secret {secret['secretName']} of {component['moduleId']}"
