"""Routes and messages of configurations: protocol in, use case, protocol out."""

import re
from typing import Final

import azure.durable_functions as df

from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import HEADS
from function_apps.configurations.resources import configuration_resource
from function_apps.configurations.use_cases import (
    judge_adoption,
    queries,
    remove_ended,
    remove_versions,
)
from function_apps.configurations.use_cases.adopt_release import adopt_release
from function_apps.configurations.use_cases.answer_workload import FOLLOW_MAX_S, answer_workload
from function_apps.configurations.use_cases.publish_configuration import (
    plan_configuration,
    publish_configuration,
)
from function_apps.configurations.use_cases.queries import Question
from function_apps.configurations.use_cases.record_deployment import record_deployment
from function_apps.configurations.use_cases.record_environment import record_environment
from function_apps.configurations.use_cases.record_inventory import record_inventory
from function_apps.configurations.use_cases.return_configuration import (
    publish_draft,
    return_configuration,
)
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.configurations import (
    Adoption,
    AdoptRelease,
    ConfigurationDiff,
    ConfigurationLayer,
    ConfigurationReturn,
    ConfigurationVersion,
    DraftPublication,
    EffectiveConfiguration,
    PublishConfiguration,
    RuntimeConfiguration,
)
from shared.contracts.deployments import (
    RuntimeDeploymentCompleted,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.environments import (
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentProvisioned,
)
from shared.kernel.errors import Denied, Invalid, NotFound
from shared.messaging.dispatcher import HandlerTable
from shared.messaging.removal import REMOVE_EVERY
from shared.messaging.unit_of_work import Json, Outcome
from shared.triggers.service_triggers import Timer, Triggers, bind
from shared.web.collection import Collection
from shared.web.request import Answer, Request, created, ok
from shared.web.routes import get, post

READ: Final = "runtime.configurations.read"
WRITE: Final = "runtime.configurations.write"
_ROOT: Final = "v1/runtime/configurations"
_ONE: Final = f"{_ROOT}/{{configurationId}}"
_VERSION: Final = f"{_ONE}/versions/{{version}}"
_VERSIONS: Final = {
    "tenantVersion": ConfigurationLayer.TENANT,
    "environmentVersion": ConfigurationLayer.ENVIRONMENT,
    "moduleVersion": ConfigurationLayer.MODULE,
}
_INSTANCE: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MODULE: Final = re.compile(r"module-[a-z0-9][a-z0-9-]{0,55}")
VERSION_MAX: Final = 999_999_999
LIST: Final = Collection(
    HEADS,
    {
        "environmentId": "layer.environment_id",
        "moduleId": "layer.module_id",
        "layer": "layer.kind",
    },
    choices={"layer": ConfigurationLayer},
)


async def post_configuration(
    request: Request[PublishConfiguration], app: ConfigurationsApp
) -> Answer:
    """Publish a version of a layer, or keep a draft; with `dryRun`, answer what it would change."""
    if request.body.dry_run:
        return ok(await plan_configuration(request.body, request.ctx, app))
    return _created(await publish_configuration(request.body, request.ctx, app))


async def get_configurations(request: Request[None], app: ConfigurationsApp) -> Answer:
    """List the tenant's configurations."""
    return await LIST.answer(request, app.service.store, configuration_resource)


async def get_configuration(request: Request[None], app: ConfigurationsApp) -> Answer:
    """Answer the head of one configuration with its etag."""
    identity = request.path["configurationId"]
    resource, etag = await queries.get_configuration(identity, request.ctx, app)
    # Who adopted it changes `status`, and not the etag.
    return ok(resource, etag=etag, is_composite=True)


async def get_configuration_version(request: Request[None], app: ConfigurationsApp) -> Answer:
    """Answer one version with its values."""
    identity, number = request.path["configurationId"], _number(request.path["version"])
    return ok(await queries.get_version(identity, number, request.ctx, app))


async def post_configuration_version_publish(
    request: Request[DraftPublication], app: ConfigurationsApp
) -> Answer:
    """Put a draft in force."""
    identity, number = request.path["configurationId"], _number(request.path["version"])
    outcome = await publish_draft(identity, number, request.body, request.ctx, app)
    return _created(outcome)


async def get_configuration_diff(request: Request[None], app: ConfigurationsApp) -> Answer:
    """Answer what differs between two versions: those in `from` and `to`, else the last two."""
    identity = request.path["configurationId"]
    before, after = (_version(request, name) for name in ("from", "to"))
    return ok(await queries.get_difference(identity, before, after, request.ctx, app))


async def post_configuration_rollback(
    request: Request[ConfigurationReturn], app: ConfigurationsApp
) -> Answer:
    """Put the content of an earlier version in force again, as a new version."""
    identity = request.path["configurationId"]
    outcome = await return_configuration(identity, request.body, request.ctx, app)
    return _created(outcome)


async def get_configuration_adoption(request: Request[None], app: ConfigurationsApp) -> Answer:
    """Answer which instances are to run the version in force, and which do: a page of them."""
    identity, after = request.path["configurationId"], request.query.get("continuation", "")
    page, continuation = await queries.get_adoption(identity, after, request.ctx, app)
    return ok(page.model_copy(update={"next_link": request.next_link(continuation)}))


async def get_effective_configuration(request: Request[None], app: ConfigurationsApp) -> Answer:
    """Answer what a module is given: the merge in force, or exactly the one of `hash`.

    `wait=<s>` holds the answer until it differs from `If-None-Match`.
    """
    given = {layer: _version(request, name) for name, layer in _VERSIONS.items()}
    named = {layer: number for layer, number in given.items() if number is not None}
    if named and len(named) < len(given):
        raise Invalid(f"expected all of {', '.join(_VERSIONS)}, or none", target="tenantVersion")
    environment, module = _required(request, "environmentId"), _required(request, "moduleId")
    if not _MODULE.fullmatch(module):
        raise NotFound(f"no module {module[:80]!r}", target="moduleId")
    instance, workload = _instance(request), request.scope.workload
    if workload is not None and not workload.may_ask(environment, module, instance):
        raise Denied(
            "a workload may ask for its own configuration only, as the instance that it is",
            code="ScopeMissing",
            target="moduleId",
        )
    question = Question(environment, module, request.query.get("hash"), named or None)
    wait_s = request.number("wait", 0, least=0, most=FOLLOW_MAX_S)
    content = await answer_workload(
        question,
        request.ctx,
        app,
        known=_known(request.if_none_match or "", is_held=wait_s > 0),
        explain=request.choice("explain", ("true", "false")) == "true",
        wait_s=wait_s,
        instance=instance,
    )
    etag = f'"{content.hash}"'
    if request.has_known(etag):
        return Answer(304, None, {"ETag": etag})
    return Answer(200, content.body, {"ETag": etag})


def _known(header: str, *, is_held: bool) -> str:
    """Return the hash that the caller has; empty where it says none."""
    if is_held and ("," in header or header.strip() == "*"):
        raise Invalid(
            f"If-None-Match: expected one etag with `wait`, got {header[:80]!r}",
            target="If-None-Match",
        )
    return header.strip().removeprefix("W/").strip('"')


def _required(request: Request[None], name: str) -> str:
    if name not in request.query:
        raise Invalid(f"query parameter {name} is missing", target=name)
    return request.query[name]


def _instance(request: Request[None]) -> str | None:
    """Return the name of the instance that asks. Raises Invalid."""
    name = request.query.get("instance")
    if name is not None and not _INSTANCE.fullmatch(name):
        expected = "1 to 128 letters, digits and . _ : -"
        raise Invalid(f"instance: expected {expected}, got {name[:40]!r}", target="instance")
    return name


def _version(request: Request[None], name: str) -> int | None:
    if name not in request.query:
        return None
    return request.number(name, 0, least=0, most=VERSION_MAX)


def _number(text: str) -> int:
    """Return a version in a path; text that is none names nothing, like a malformed id."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(VERSION_MAX))
    if not is_number or int(text) == 0:
        raise NotFound(f"no version {text[:40]!r}: versions are whole numbers from 1")
    return int(text)


def _created(outcome: Outcome[Json]) -> Answer:
    location = f"/{_ROOT}/{outcome.value['configurationId']}"
    return created(outcome.value, location, is_repeat=outcome.is_repeat)


ROUTES: Final = (
    post(
        _ROOT, post_configuration, WRITE, body=PublishConfiguration, status=201,
        answer=RuntimeConfiguration, also={200: ConfigurationDiff},
    ),
    get(_ROOT, get_configurations, READ, query=LIST.parameters),
    get(_ONE, get_configuration, READ, answer=RuntimeConfiguration),
    get(_VERSION, get_configuration_version, READ, answer=ConfigurationVersion),
    post(
        f"{_VERSION}/publish", post_configuration_version_publish, WRITE, body=DraftPublication,
        status=201, answer=RuntimeConfiguration,
    ),
    get(
        f"{_ONE}/diff", get_configuration_diff, READ, query=("from", "to"),
        answer=ConfigurationDiff,
    ),
    post(
        f"{_ONE}/rollback", post_configuration_rollback, WRITE, body=ConfigurationReturn,
        status=201, answer=RuntimeConfiguration,
    ),
    get(
        f"{_ONE}/adoption", get_configuration_adoption, READ, query=("continuation",),
        answer=Adoption,
    ),
    get(
        "v1/runtime/effective-configuration", get_effective_configuration, READ,
        query=("environmentId", "moduleId", "hash", *_VERSIONS, "explain", "wait", "instance"),
        answer=EffectiveConfiguration, is_followed=True,
    ),
)  # fmt: skip
EVENTS: Final[HandlerTable] = {
    RuntimeEnvironmentProvisioned: record_environment,
    RuntimeEnvironmentDecommissioned: record_environment,
    RuntimeDeploymentCompleted: record_deployment,
    RuntimeDeploymentRolledBack: record_deployment,
    RuntimeInventoryUpdated: record_inventory,
}
COMMANDS: Final[HandlerTable] = {
    PublishConfiguration: publish_configuration,
    AdoptRelease: adopt_release,
}


def blueprint(app: ConfigurationsApp) -> df.Blueprint:
    """Bind this service's triggers to *app*; nothing is bound at import."""
    timers = (
        Timer(judge_adoption.JUDGE, app.rules.judge_every, judge_adoption.judge_due),
        Timer(remove_versions.REMOVE, REMOVE_EVERY, remove_versions.remove_past_versions),
        Timer(remove_ended.REMOVE, REMOVE_EVERY, remove_ended.remove_ended_layers),
    )
    triggers = Triggers(
        routes=ROUTES, events=EVENTS, commands=COMMANDS, timers=timers, swept=(HEADS,)
    )
    return bind(triggers, app)
