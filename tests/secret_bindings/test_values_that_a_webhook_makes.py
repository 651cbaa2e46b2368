"""A webhook makes the versions of a secret; its key is another secret of the same vault."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shared.kernel.errors import Invalid
from shared.passwords.webhooks import ValueRequest
from shared.vault.port import SecretValue
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import NAME, secret_bindings
from tests.secret_bindings.followers import consumers

GENERATOR = {"kind": "webhook", "settings": {"url": "https://hooks.test/", "key": "hook-key"}}


@dataclass
class Answering:
    """The `ValueWebhooks` port: the same value for the same request."""

    asked: list[tuple[str, SecretValue, ValueRequest]] = field(default_factory=list)

    async def new_value(self, url: str, key: SecretValue, request: ValueRequest) -> SecretValue:
        self.asked.append((url, key, request))
        return SecretValue(f"value of {request.request_id}")


def test_a_webhook_makes_each_version_and_is_asked_by_the_id_of_who_needs_it() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        webhooks = Answering()
        on.app = replace(on.app, webhooks=webhooks)
        await on.set_by_hand("k" * 32, "hook-key")
        followers, binding = await consumers(on, "module-web", generator=GENERATOR)
        rotation = await followers.rotate(binding)
        return webhooks.asked, rotation, (await on.vault.get(NAME)).value.reveal()

    (first, second), rotation, value = run_virtual(main())

    assert rotation["status"] == "Revoked"
    assert value == f"value of {rotation['rotationId']}"
    assert second[2].request_id == rotation["rotationId"] != first[2].request_id
    assert second[1] == SecretValue("k" * 32)


def test_without_its_key_nothing_is_asked() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        binding = await on.bind(generator=GENERATOR)
        return (await on.operation(binding["lastOperationId"])).error

    assert run_virtual(main())["code"] == "NotFound"


@pytest.mark.parametrize("settings", [{}, {"url": "https://hooks.test/"}, {"key": "a", "b": "c"}])
def test_settings_that_a_webhook_lacks_or_has_not_are_refused(settings: dict[str, str]) -> None:
    assert _refusal(**settings) == "GeneratorNotSupported"


def test_no_administrators_login_is_bound_or_signs() -> None:
    async def main() -> None:
        await (await secret_bindings()).ask(secretName="DATA-orders-db-administrator")

    with pytest.raises(Invalid) as refused:
        run_virtual(main())

    assert refused.value.code == "SecretNameReserved"
    key = "data-orders-db-administrator"
    assert _refusal(url="https://hooks.test/", key=key) == "SecretNameReserved"


def _refusal(**settings: str) -> str:
    async def main() -> None:
        on = await secret_bindings()
        await on.ask(generator={"kind": "webhook", "settings": settings})

    with pytest.raises(Invalid) as refused:
        run_virtual(main())

    return refused.value.code
