"""Secret_bindings over in-memory parts: what it is told, what it does, and what it answers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from function_apps.secret_bindings.activities import ACTIVITIES
from function_apps.secret_bindings.orchestrations import ORCHESTRATIONS
from function_apps.secret_bindings.ports import LOCAL_RULES, SecretBindingsApp
from function_apps.secret_bindings.triggers import COMMANDS, CONTROLS, EVENTS, ROUTES
from function_apps.secret_bindings.use_cases.watch_secrets import rotate_due, watch_secrets
from local_cloud.vault.vault import LocalVault
from shared.contracts.deployments import (
    DeploymentEnded,
    RuntimeDeploymentCancelled,
    RuntimeDeploymentFailed,
)
from shared.contracts.secret_proofs import ConfirmWithdrawal
from shared.contracts.validation import read
from shared.durable.operations import OPERATIONS
from shared.durable.orchestration import Orchestrator, durable_name
from shared.kernel.context import Context
from shared.kernel.operation import Operation
from shared.messaging.dispatcher import Dispatcher
from shared.passwords.webhooks import SignedWebhooks
from shared.persistence.store import Store
from shared.vault.port import SecretValue, Vaults
from shared.web.request import Answer, Request
from tests.kit.drive import DrivenContext, by_name, drive
from tests.kit.memory_passwords import MemoryPasswords
from tests.kit.memory_vaults import MemoryVaults
from tests.kit.messages import envelope_of, taken
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service import TENANT, Bench, bench
from tests.kit.stores import all_changes
from tests.kit.told import ENVIRONMENT, KEY, WEB, ended, environment, released
from tests.kit.virtual_time import EPOCH

QUEUE: Final = "runtime-secret-bindings-commands"
ROOT: Final = "v1/runtime/secret-bindings"
NAME: Final = "db-password"
VAULT: Final = f"https://{KEY}.vault.localhost"
CONTENT: Final = {
    "environmentId": ENVIRONMENT,
    "moduleId": WEB,
    "secretName": NAME,
    "target": "DB_PASSWORD",
}
RANDOM: Final = {"kind": "random"}
PASSWORD: Final = {"kind": "databasePassword", "settings": {"resource": "orders-db"}}


@dataclass
class SecretBindings:
    bench: Bench
    app: SecretBindingsApp
    dispatcher: Dispatcher
    vaults: MemoryVaults
    passwords: MemoryPasswords
    heard: int = 0

    @property
    def ctx(self) -> Context:
        return self.bench.ctx()

    @property
    def vault(self) -> LocalVault:
        """The environment's own."""
        self.vaults.at(VAULT)
        return self.vaults.vaults[KEY]

    async def call(
        self,
        method: str,
        template: str,
        body: Mapping[str, Any] | None = None,
        **path: Any,
    ) -> Answer:
        """Ask the handler of a route, its body read as the app reads it."""
        route = next(each for each in ROUTES if (each.method, each.template) == (method, template))
        content: Any = None if route.body is None else read(route.body, body)
        named = {name: str(value) for name, value in path.items()}
        request: Request[Any] = Request(content, self.ctx, named, {})
        return await route.handler(request, self.app)

    async def ask(self, **changes: Any) -> Mapping[str, Any]:
        """Ask for a binding, and return it as it is answered at once."""
        body = {key: value for key, value in {**CONTENT, **changes}.items() if value is not None}
        return shown(await self.call("POST", ROOT, body))

    async def bind(self, **changes: Any) -> Mapping[str, Any]:
        """Ask for a binding, do the work, and return the binding."""
        asked = await self.ask(**changes)
        await self.run_started()
        return await self.binding(asked["bindingId"])

    async def binding(self, identity: str) -> Mapping[str, Any]:
        return shown(await self.call("GET", f"{ROOT}/{{bindingId}}", bindingId=identity))

    async def revoke(self, identity: str) -> Mapping[str, Any]:
        path = f"{ROOT}/{{bindingId}}/revoke"
        return shown(await self.call("POST", path, {"reason": "not needed"}, bindingId=identity))

    async def rotate(self, identity: str, **order: Any) -> Mapping[str, Any]:
        """Ask for a rotation, and return it as it is answered at once."""
        path = f"{ROOT}/{{bindingId}}/rotate"
        return shown(await self.call("POST", path, order, bindingId=identity))

    async def rotation(self, identity: str) -> Mapping[str, Any]:
        path = "v1/runtime/secret-rotations/{rotationId}"
        return shown(await self.call("GET", path, rotationId=identity))

    async def watch(self, after_s: float = 0.0) -> int:
        """Look at every secret in its vault, *after_s* from now."""
        await self.app.service.clock.sleep(after_s)
        return await watch_secrets(self.app)

    async def rotate_due(self, after_s: float = 0.0) -> int:
        await self.app.service.clock.sleep(after_s)
        return await rotate_due(self.app)

    async def cancel(self, operation_id: str) -> None:
        """Have a caller cancel an operation, as its route does."""
        operation = await self.operation(operation_id)
        control = CONTROLS[operation.kind].cancel
        assert not isinstance(control, str)
        await control(operation, self.ctx, self.app)

    async def abandon(self, operation_id: str) -> None:
        """Have an administrator abandon an operation, as its route does."""
        operation = await self.operation(operation_id)
        await CONTROLS[operation.kind].abandon(operation, self.ctx, self.app)

    async def everything(self) -> list[str]:
        """Return all that the service stores and sent, as texts."""
        stored = await all_changes(self.bench.storage.store("runtime", "secret_bindings"))
        documents = [json.dumps(dict(each.body), default=str) for each in stored]
        return [*documents, json.dumps([*self.bench.sent.bodies()])]

    async def operation(self, operation_id: str) -> Operation:
        return await self.app.service.work.load(OPERATIONS, operation_id, TENANT)

    async def run_started(self, **how: Any) -> list[Any]:
        """Drive every orchestration that was started and not yet run; return their outcomes."""
        outcomes = []
        while self.bench.starts.started:
            outcomes.append(await self.run(*self.bench.starts.started.pop(0), **how))
        return outcomes

    async def run(self, name: str, instance_id: str, argument: Any, **how: Any) -> Any:
        abandon = {kind: control.abandon for kind, control in CONTROLS.items()}
        context = DrivenContext(
            instance_id, argument, by_name(ACTIVITIES, abandon), self.app, self.app.service.clock,
            self.bench.starts, **how,
        )  # fmt: skip
        return await drive(_orchestration(name), context)

    async def hear(self, payload: BaseModel, number: int | None = None) -> None:
        """Deliver *payload*, and what secret_bindings sends itself because of it."""
        self.heard += 1
        at = self.app.service.clock.now()
        envelope = envelope_of(payload, number or self.heard, at)
        await self.dispatcher.dispatch(envelope)
        for sent in taken(self.bench.sent, QUEUE):
            await self.dispatcher.dispatch(sent)

    async def confirm(self, withdrawal: Mapping[str, Any]) -> None:
        """Answer the command *withdrawal* as deployments does where nothing is on its way."""
        names = ("environmentId", "bindingId", "rotationId")
        content = {name: withdrawal[name] for name in names}
        await self.hear(ConfirmWithdrawal.model_validate(content))

    async def set_by_hand(self, text: str = "by hand", name: str = NAME) -> str:
        """Set a version in the environment's vault, and return it."""
        return (await self.vault.set(name, SecretValue(text))).version

    def told(self, event: str) -> list[dict[str, Any]]:
        return [each["payload"] for each in self.bench.sent.bodies(event)]


def running(
    number: int,
    versions: Mapping[str, str],
    *,
    module: str = WEB,
    proved: Mapping[str, str] | None = None,
    rejected: Mapping[str, str] | None = None,
    revision: int | None = None,
) -> DeploymentEnded:
    """Return the end of a deployment whose two instances proved *versions*, or *proved*.

    With *rejected* it was rolled back from a unit with these versions.
    """
    component = released(module, revision or number, secretVersions=versions)
    event = ended(number, [component], rolled_back=rejected is not None)
    instances = [
        {
            "moduleId": module,
            "instance": f"{module}-{index}",
            "releaseRevision": revision or number,
            "digest": component["digest"],
            "secretVersions": versions if proved is None or index == 0 else proved,
            "checkedAt": EPOCH.isoformat(),
        }
        for index in range(2)
    ]
    more: dict[str, Any] = {"proof": {"instances": instances, "total": 2, "whole": True}}
    if rejected is not None:
        unit = released(module, number, secretVersions=rejected)
        more["rejected"] = {"components": [unit]}
    return type(event).model_validate({**event.model_dump(by_alias=True), **more})


def not_rolled_out(
    number: int,
    binding_id: str,
    status: str,
    *,
    code: str = "",
    at: datetime | None = None,
    version: str = "1" * 32,
) -> DeploymentEnded:
    """Return the end of a deployment of kind secret that was Cancelled, or Failed."""
    payload = RuntimeDeploymentFailed if status == "Failed" else RuntimeDeploymentCancelled
    content = ended(number, [], at=at).model_dump(mode="json", by_alias=True)
    secret = {
        "moduleId": WEB,
        "bindingId": binding_id,
        "secretName": NAME,
        "version": version,
    }
    reason = {"code": code or "GateFailed", "message": "see there"}
    changes = {"kind": "secret", "status": status, "releaseUnit": None, "reason": reason}
    return payload.model_validate({**content, **changes, "modules": [WEB], "secret": secret})


def shown(answer: Answer) -> Mapping[str, Any]:
    """Return the JSON of *answer*."""
    found: Mapping[str, Any] = json.loads(answer.content)
    return found


def _orchestration(name: str) -> Orchestrator:
    return next(each for each in ORCHESTRATIONS if durable_name(each) == name)


async def secret_bindings(
    *,
    knows_environment: bool = True,
    seed: int = 1,
    asked: Vaults | None = None,
    around: Callable[[Store], Store] = lambda store: store,
) -> SecretBindings:
    """Return the service, which has heard of its environment unless it is not to.

    It asks vaults in memory, or those that are *asked*, and its store through what is *around* it.
    """
    on = bench("secret_bindings", seed=seed, around=around)
    service = on.service
    vaults = MemoryVaults(service.clock, SeededEntropy(seed))
    passwords = MemoryPasswords(SeededEntropy(seed), {"orders-db"})
    app = SecretBindingsApp(
        service, asked or vaults, passwords, SignedWebhooks(service.clock), LOCAL_RULES
    )
    dispatcher = Dispatcher(
        {**EVENTS, **COMMANDS}, app, service.work, service.clock, service.entropy
    )
    made = SecretBindings(on, app, dispatcher, vaults, passwords)
    if knows_environment:
        await made.hear(environment(1))
    return made
