"""Configurations over in-memory parts: what it is told, and what it answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel

from function_apps.configurations.ports import LOCAL_RULES, ConfigurationsApp
from function_apps.configurations.triggers import COMMANDS, EVENTS, ROUTES
from function_apps.configurations.use_cases.judge_adoption import judge_due
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.storage import CONFIGURATION_REPORTS
from shared.contracts.validation import read
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.messaging.dispatcher import Dispatcher
from shared.persistence.store import Store
from shared.web.long_polls import Followers
from shared.web.request import Answer, Request
from tests.kit.messages import envelope_of, taken
from tests.kit.service import Bench, bench
from tests.kit.told import ENVIRONMENT, WEB, ended, environment, released, service_of
from tests.kit.virtual_time import EPOCH

QUEUE: Final = "runtime-configurations-commands"
TENANT_LAYER: Final = {"layer": "tenant"}
ENVIRONMENT_LAYER: Final = {"layer": "environment", "environmentId": ENVIRONMENT}
MODULE_LAYER: Final = {"layer": "module", "environmentId": ENVIRONMENT, "moduleId": WEB}
ROOT: Final = "v1/runtime/configurations"


@dataclass
class Configurations:
    bench: Bench
    app: ConfigurationsApp
    dispatcher: Dispatcher
    heard: int = 0

    @property
    def ctx(self) -> Context:
        return self.bench.ctx()

    async def call(
        self,
        method: str,
        template: str,
        body: Mapping[str, Any] | None = None,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        query: Mapping[str, Any] | None = None,
        **path: Any,
    ) -> Answer:
        """Ask the handler of a route, its body and query read as the app reads them."""
        route = next(each for each in ROUTES if (each.method, each.template) == (method, template))
        asked = {name: str(value) for name, value in (query or {}).items()}
        assert set(asked) <= {*route.query}, asked
        content: Any = None if route.body is None else read(route.body, body)
        request: Request[Any] = Request(
            content,
            self.bench.ctx(if_match=None if if_match is None else (if_match,)),
            {name: str(value) for name, value in path.items()},
            asked,
            if_none_match=if_none_match,
        )
        return await route.handler(request, self.app)

    async def publish(
        self, scope: Mapping[str, str], values: Mapping[str, Any], expected: int = 0, **more: Any
    ) -> Mapping[str, Any]:
        """Publish *values* and return the head."""
        body = {"scope": scope, "values": values, "expectedVersion": expected, **more}
        return shown(await self.call("POST", ROOT, body))

    async def effective(self, **query: Any) -> Mapping[str, Any]:
        return shown(await self.answered(**query))

    async def answered(self, *, if_none_match: str | None = None, **query: Any) -> Answer:
        asked = {"environmentId": ENVIRONMENT, "moduleId": WEB, **query}
        return await self.call(
            "GET",
            "v1/runtime/effective-configuration",
            query=asked,
            if_none_match=if_none_match,
        )

    async def hear(self, payload: BaseModel) -> None:
        """Deliver *payload*, and what configurations sends itself because of it."""
        self.heard += 1
        envelope = envelope_of(payload, self.heard, self.app.service.clock.now())
        await self.dispatcher.dispatch(envelope)
        for sent in taken(self.bench.sent, QUEUE):
            await self.dispatcher.dispatch(sent)

    async def judge(self, after_s: float) -> int:
        await self.app.service.clock.sleep(after_s)
        return await judge_due(self.app)

    def told(self, event: str) -> list[dict[str, Any]]:
        return [each["payload"] for each in self.bench.sent.bodies(event)]


async def ask(on: Configurations, instance: str = "web-0") -> None:
    """Have *instance* say that it has the version in force."""
    etag = (await on.answered()).headers["ETag"]
    await on.answered(if_none_match=etag, instance=instance)


def proved(number: int, hashes: Sequence[str | None], mode: str, pin: Mapping[str, Any]) -> Any:
    """Return the end of a deployment of WEB that names *pin*, whose instances prove *hashes*."""
    component = released(WEB, number, configurationMode=mode, configuration=pin)
    event = ended(number, [component])
    proofs = [
        {
            "moduleId": WEB,
            "instance": f"web-{index}",
            "releaseRevision": number,
            "digest": component["digest"],
            "configurationHash": each,
            "checkedAt": EPOCH.isoformat(),
        }
        for index, each in enumerate(hashes)
    ]
    proof = {"instances": proofs, "total": len(proofs), "whole": True}
    return type(event).model_validate({**event.model_dump(by_alias=True), "proof": proof})


def listed(
    revision: int,
    *names: str,
    release: int = 1,
    others: Sequence[str] = (),
    stopped: Sequence[str] = (),
    more: int = 0,
    cause: str = "observation",
    started_s: float | None = None,
    module: str = WEB,
) -> RuntimeInventoryUpdated:
    """Return what catalog tells of *module*: the instances of its *release*, and of *others*.

    With *more* there are so many that the event has no room for. Their processes are running since
    *started_s*, where a surface tells.
    """
    component = released(module, release)
    started = None if started_s is None else isoformat(EPOCH + timedelta(seconds=started_s))
    instances = [
        {"name": name, "releaseRevision": number, "status": status, "startedAt": started}
        for group, number, status in (
            (names, release, "Ready"), (others, release + 1, "NotReady"),
            (stopped, release, "Stopped"),
        )
        for name in group
    ]  # fmt: skip
    return RuntimeInventoryUpdated.model_validate(
        {
            **component, "aggregateId": service_of(module), "serviceId": service_of(module),
            "revision": revision, "environmentId": ENVIRONMENT, "stage": "test",
            "status": "Running", "instances": instances, "instancesTotal": len(instances) + more,
            "cause": {"kind": cause, "id": "scan"}, "validFrom": isoformat(EPOCH),
        }
    )  # fmt: skip


def shown(answer: Answer) -> Mapping[str, Any]:
    """Return the JSON of *answer*."""
    found: Mapping[str, Any] = json.loads(answer.content)
    return found


async def configurations(
    *, knows_environment: bool = True, around: Callable[[Store], Store] = lambda store: store
) -> Configurations:
    """Return the service, which has heard of its environment unless it is not to."""
    on = bench("configurations", around=around)
    service = on.service
    table = on.storage.table(CONFIGURATION_REPORTS)
    app = ConfigurationsApp(service, table, Followers(service.clock), LOCAL_RULES)
    dispatcher = Dispatcher(
        {**EVENTS, **COMMANDS}, app, service.work, service.clock, service.entropy
    )
    made = Configurations(on, app, dispatcher)
    if knows_environment:
        await made.hear(environment(1))
    return made
