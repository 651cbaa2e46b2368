"""A change that was cut off at any point is repeated, and then it is whole."""

from contextlib import suppress

import pytest

from shared.kernel.errors import Unavailable
from shared.passwords.port import PasswordRefused
from shared.surfaces.data_servers import LOCAL_POSTGRES
from tests.kit.cut_proxy import CutAfter, CutBefore, CutProxy
from tests.passwords.conftest import RESOURCE, Opened

POINTS = {
    True: {
        "set": [
            b"advisory_xact_lock", b"CREATE ROLE", b"SET role", b"LOGIN PASSWORD", b"COMMIT",
        ],
        "retire": [
            b"NOLOGIN", b"pg_terminate_backend", b"REASSIGN", b"DROP OWNED", b"DROP ROLE",
            b"COMMIT",
        ],
    },
    False: {"set": [b"SETUSER", b"SAVE"], "retire": [b"DELUSER", b"SAVE"]},
}  # fmt: skip


@pytest.mark.parametrize("fault", [CutBefore, CutAfter], ids=["before", "after"])
@pytest.mark.parametrize("change", ["set", "retire"])
async def test_a_repeated_change_is_whole(
    opened: Opened, change: str, fault: type[CutBefore | CutAfter]
) -> None:
    async with CutProxy(opened.server.spec.port) as proxy:
        through = opened.at(proxy.port)
        for point in POINTS[opened.server.spec.kind == LOCAL_POSTGRES][change]:
            value = await through.new_value()
            if change == "retire":
                await through.passwords.set(RESOURCE, value)
            repeated = getattr(through.passwords, change)
            proxy.will(fault(point))

            with suppress(Unavailable):  # the answer to COMMIT may come with that before it
                await repeated(RESOURCE, value)
            assert proxy.is_done, point
            await repeated(RESOURCE, value)

            if change == "set":
                await through.passwords.test(RESOURCE, value)
            else:
                with pytest.raises(PasswordRefused):
                    await through.passwords.test(RESOURCE, value)
