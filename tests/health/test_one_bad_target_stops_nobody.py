"""A target that cannot be read, probed or committed is postponed and shown; the others go on."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shared.kernel.clock import isoformat
from shared.persistence.store import Document, Replace
from tests.health.watching import Health, health
from tests.kit.told import ENVIRONMENT, component_of, ended, released, run, service_of
from tests.kit.virtual_time import EPOCH, run_virtual

MODULES = [f"module-m{number}" for number in range(5)]
BAD = MODULES[2]


async def watched() -> Health:
    made = health()
    await made.hear_all(ended(1, [released(module) for module in MODULES], at=EPOCH))
    for module in MODULES:
        await run(made.world, module)
    return made


async def damage(made: Health, **fields: Any) -> Document:
    document = await made.document(BAD)
    assert document is not None
    body = {**document.body, **fields}
    await made.app.service.store.batch(
        document.partition, [Replace(document.id, body, document.etag)]
    )
    return document


class BrokenSurface:
    """A surface with a defect for one module."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def observe(self, component: Any) -> Any:
        if component.module == BAD:
            raise ZeroDivisionError
        return await self._inner.observe(component)


def shown(made: Health) -> Mapping[str, int]:
    service = made.app.service
    return service.sweeps.failures(service.clock.now())


async def unreadable(made: Health) -> None:
    await damage(made, revision="many")


async def of_a_later_schema(made: Health) -> None:
    await damage(made, schema=99)


async def with_a_defect(made: Health) -> None:
    object.__setattr__(made.app, "surface", BrokenSurface(made.app.surface))


def test_root_causes_that_cannot_be_found_keep_no_probe_from_being_recorded() -> None:
    async def main() -> str:
        made = await watched()
        await made.sweep()
        await damage(made, since="yesterday")
        del made.world.sites[ENVIRONMENT].components[component_of(MODULES[0])]
        for _ in range(3):
            await made.sweep()
        return (await made.health(MODULES[0])).status.value

    assert run_virtual(main()) == "Unhealthy"


@pytest.mark.parametrize("spoil", [unreadable, of_a_later_schema, with_a_defect])
def test_the_other_targets_are_probed_and_the_bad_one_is_shown(
    spoil: Callable[[Health], Any],
) -> None:
    async def main() -> tuple[set[str], Any]:
        made = await watched()
        await spoil(made)
        await made.sweep()
        others = {(await made.health(module)).status.value for module in MODULES if module != BAD}
        return others, shown(made)

    others, failures = run_virtual(main())

    assert others == {"Healthy"}
    assert failures == {"sweep_due": 1}


def test_a_bad_target_is_postponed_and_probed_again_once_it_is_repaired() -> None:
    async def main() -> tuple[bool, int, str, Any]:
        made = await watched()
        await damage(made, revision="many")
        await made.sweep()
        document = await made.document(BAD)
        assert document is not None
        is_postponed = document.body["dueAt"] > isoformat(made.app.service.clock.now())
        probed_meanwhile = await made.sweep(after_s=1)
        await damage(made, revision=1)
        await made.sweep(after_s=60)
        status = (await made.health(BAD)).status
        return is_postponed, probed_meanwhile, status, shown(made)

    assert run_virtual(main()) == (True, len(MODULES) - 1, "Healthy", {})


def test_samples_of_the_others_are_deleted_where_one_partition_fails() -> None:
    async def main() -> tuple[int, Any]:
        made = await watched()
        await made.sweep()
        samples = made.app.samples

        class Table:
            def __getattr__(self, name: str) -> Any:
                return getattr(samples, name)

            async def delete_before(self, key: str, before: str) -> int:
                if key.endswith(service_of(BAD)):
                    raise ZeroDivisionError
                return await samples.delete_before(key, before)

        object.__setattr__(made.app, "samples", Table())
        await made.app.service.clock.sleep(31 * 86_400)
        deleted = await made.delete_old_samples()
        return deleted, shown(made)

    deleted, failures = run_virtual(main())

    assert deleted == len(MODULES) - 1
    assert failures == {"forget_samples": 1}
