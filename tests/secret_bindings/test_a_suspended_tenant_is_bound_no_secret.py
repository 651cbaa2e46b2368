"""Secrets follow the tenant's binding: none while it is suspended, and its identity with each."""

from typing import Any

import pytest

from shared.kernel.errors import Refused
from tests.kit.told import bound_tenant
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import RANDOM, secret_bindings


def test_while_it_is_suspended_no_secret_is_bound_and_what_is_bound_may_be_revoked() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        binding = await on.bind(generator=RANDOM)
        await on.hear(bound_tenant(3, "Suspended"))
        with pytest.raises(Refused) as refused:
            await on.ask(generator=RANDOM, secretName="other", target="OTHER")
        revoked = await on.revoke(binding["bindingId"])
        await on.hear(bound_tenant(2, "Enforced"))
        with pytest.raises(Refused) as late:
            await on.ask(generator=RANDOM, secretName="other", target="OTHER")
        await on.hear(bound_tenant(4, "Enforced"))
        again = await on.bind(generator=RANDOM, secretName="other", target="OTHER")
        return refused.value.code, revoked["status"], late.value.code, again["status"]

    assert run_virtual(main()) == ("TenantSuspended", "Revoked", "TenantSuspended", "Bound")


def test_a_binding_has_the_identity_that_the_tenant_was_given() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.hear(bound_tenant(2, "Enforced", identity="its-client-id"))
        return await on.bind(generator=RANDOM)

    assert run_virtual(main())["identity"] == "its-client-id"
