"""Brings about what a release file says beside the release, before the release is deployed.

A deployment gives what deployments has heard of when it is asked for, and it hears of a publish by
an event. So its plan is asked until it has what was published and bound.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from cli.client import Client
from cli.configuration_layers import ROOT as CONFIGURATIONS
from cli.configuration_layers import TENANT, Layer, put_in_force
from cli.configuration_tables import difference_words
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Invocation
from cli.output import note
from cli.plans import require_plannable
from cli.publish_layers import (
    OF_CONTENT,
    REFUSALS,
    LayerChange,
    changes_of,
    publish_change,
    try_changes,
)
from cli.release_sections import Sections
from cli.secret_bindings import bind_secret
from cli.secret_words import plan_words
from cli.wait_for_events import EVENT_WITHIN_S, EventWait
from cli.watch_operation import wait_for_success
from cli.watch_rollout import ROOT
from shared.kernel.clock import Clock

_BINDING_WITHIN_S: Final = 60.0
_MAY_PASS: Final = {
    "EnvironmentUnknown", "Held", "Invalid", "NaturalKeyActive", "QueueFull", "QueueTaken",
}  # fmt: skip
"""What a plan refuses and may take later."""


_MODULE: Final = re.compile(r"module-[a-z0-9-]+")


@dataclass(frozen=True)
class _Published:
    """A layer, and its version that the release is to be given."""

    layer: Layer
    version: int


def say_sections(
    sections: Sections, request: Mapping[str, Any], invocation: Invocation
) -> Sequence[Failure]:
    """Say what would be published and bound before the deployment *request*.

    Return what is refused of it, which is said too.
    """
    changes = _changes(sections, request, invocation.client)
    for same in (change for change in changes if change.is_none):
        label, version = same.layer.label, same.current.version
        note(f"configuration: {label}: nothing differs from version {version}")
    refused: list[Failure] = []
    try:
        for change, difference in try_changes(_differing(changes), invocation):
            words = difference_words(difference)
            note(f"configuration: {change.layer.label}: would publish {words}")
    except Failure as failure:
        if failure.exit_code not in REFUSALS:
            raise
        refused.append(failure)
        note(f"configuration: would not be published: {_in_one_line(failure)}")
    for secret, state, failures in _tried_secrets(sections, request, invocation):
        note(f"secret: {secret['secretName']} of {secret['moduleId']} {state}")
        refused += failures
    return refused


def _tried_secrets(
    sections: Sections, request: Mapping[str, Any], invocation: Invocation
) -> Iterator[tuple[Mapping[str, Any], str, Sequence[Failure]]]:
    """Yield each secret with what binding it would come to, and what is refused of it."""
    for secret in sections.secrets:
        body = {"environmentId": request["environmentId"], **secret, "dryRun": True}
        try:
            plan = bind_secret(invocation, body).body
        except Failure as failure:
            if failure.exit_code not in REFUSALS:
                raise
            yield secret, f"is refused: {_in_one_line(failure)}", [failure]
            continue
        reasons = [f": {each['message']}" for each in plan["refusals"]]
        failures = [_would_fail(each, secret) for each in plan["refusals"]]
        yield secret, plan_words(plan, body) + "".join(reasons), failures


def _in_one_line(failure: Failure) -> str:
    texts = [text for each in failure.details if (text := each.text()) not in failure.message]
    return failure.message + (f" ({'; '.join(texts)})" if texts else "")


def mended_warnings(warnings: Sequence[str], sections: Sections) -> Sequence[str]:
    """Return those of *warnings* that the secrets of *sections* end: they are bound beforehand."""
    from shared.contracts.deployment_plans import secret_left_out  # noqa: PLC0415  slow to import

    bound = [(secret["moduleId"], secret["secretName"]) for secret in sections.secrets]
    begins = tuple(f"{secret_left_out(module, name)} " for module, name in bound)
    return [warning for warning in warnings if begins and warning.startswith(begins)]


def mended_refusals(
    refusals: Sequence[Mapping[str, Any]], sections: Sections
) -> Sequence[Mapping[str, Any]]:
    """Return those of *refusals* that the layers of *sections* may end: they come beforehand."""
    return [each for each in refusals if each["code"] in OF_CONTENT and _reaches(sections, each)]


def _reaches(sections: Sections, refusal: Mapping[str, Any]) -> bool:
    """Return whether layers of *sections* are of the module that *refusal* is about, or of all."""
    modules = {layer.said.get("module") for layer in sections.layers}
    named = {*_MODULE.findall(refusal["message"])}
    return None in modules or not named.isdisjoint(modules)


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
            where a dry run of it, or of *request*, is refused for what the rest would not mend.
    """
    client, clock = invocation.client, invocation.session.clock
    changes = _changes(sections, request, client)
    differing = _differing(changes)
    if sections.secrets or differing:
        _require_deployable(sections, request, client)
    published, done = [], list[str]()
    with naming(["nothing was published or bound"]):
        try_changes(differing, invocation)
        tried = _tried_secrets(sections, request, invocation)
        if refused := [failure for _, _, failures in tried for failure in failures]:
            raise refused[0].but(*(failure.message for failure in refused[1:]))
    with naming(done):
        for change in changes:
            layer, version = change.layer, change.current.version
            if not change.is_none:
                version = int(publish_change(change, invocation)["version"])
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


def _require_deployable(sections: Sections, request: Mapping[str, Any], client: Client) -> None:
    plan = client.write("POST", ROOT, {**request, "dryRun": True}).body
    later = mended_refusals(plan["refusals"], sections)
    refusals = [
        each for each in plan["refusals"] if each["code"] not in _MAY_PASS and each not in later
    ]
    with naming(["nothing was published or bound"]):
        require_plannable(refusals, are_shown=False)


def _changes(
    sections: Sections, request: Mapping[str, Any], client: Client
) -> Sequence[LayerChange]:
    return changes_of(sections.layers, str(request["environmentId"]), client)


def _differing(changes: Sequence[LayerChange]) -> Sequence[LayerChange]:
    return [change for change in changes if not change.is_none]


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
