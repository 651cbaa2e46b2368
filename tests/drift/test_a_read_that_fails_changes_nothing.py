"""Unknown changes nothing; absence takes two complete scans, and a word where it is massive."""

from typing import Any

from shared.kernel.ids import ModuleId, TenantId
from shared.kernel.observation import Unknown
from shared.surfaces.spec import SurfaceComponent
from tests.drift.compared import Drift, drift, released_and_settled, virtual
from tests.drift.test_what_others_say_of_a_service import health
from tests.kit.told import ENVIRONMENT, WEB, component_of, service_of

TEN = [f"module-m{number}" for number in range(10)]


class Blind:
    """A surface of which one read fails."""

    def __init__(self, inner: Any, *failing: str) -> None:
        self._inner, self._failing = inner, failing

    def __getattr__(self, name: str) -> Any:
        if name not in self._failing:
            return getattr(self._inner, name)

        async def fail(*_: Any) -> Unknown:
            return Unknown("throttled")

        return fail


def blind(made: Drift, *reads: str) -> None:
    object.__setattr__(made.app, "surface", Blind(made.surface, *reads))


def seeing(made: Drift) -> None:
    object.__setattr__(made.app, "surface", made.surface)


@virtual
async def test_a_service_that_cannot_be_read_is_not_judged_and_is_no_part_of_the_coverage() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    for read in ("properties", "observe", "inventory"):
        blind(made, read)

        await made.scan(300)

        report = await made.report()
        assert report["value"] == [], read
        covered = [each["plane"] for each in report["coverage"] if each["complete"]]
        assert covered == ["infrastructure"], read


@virtual
async def test_a_finding_stays_open_while_its_service_cannot_be_read() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    await made.scan(300)
    made.tamper(environ={"MODE": "fast"})
    blind(made, "properties")

    await made.scan(300)

    assert (await made.only())["status"] == "Open"


@virtual
async def test_instances_that_do_not_answer_are_neither_drift_nor_clean() -> None:
    made = await released_and_settled()
    instances = made.world.sites[ENVIRONMENT].components[component_of(WEB)].revisions[1].instances
    made.world.mute = {instances[0].id}

    await made.scan(300)

    assert await made.findings() == []


@virtual
async def test_a_service_is_missing_after_two_complete_scans() -> None:
    made = await released_and_settled()
    made.vanish(WEB)

    await made.scan(300)
    once = await made.findings()
    await made.scan(300)
    finding = await made.only()

    assert once == []
    assert (finding["path"], finding["kind"], finding["severity"]) == (
        "revision", "Missing", "Critical",
    )  # fmt: skip


@virtual
async def test_two_scans_of_one_moment_are_not_believed_that_it_is_gone() -> None:
    made = await released_and_settled()
    made.vanish(WEB)
    for _ in range(3):
        await made.scan_anew()
    of_a_moment = await made.findings()

    await made.scan(300)

    assert of_a_moment == []
    assert (await made.only())["kind"] == "Missing"


@virtual
async def test_a_tenth_newly_absent_at_once_is_believed_only_when_somebody_confirms() -> None:
    made = await many()
    made.vanish(*TEN[:4])

    for _ in range(3):
        await made.scan(300)
    held, unconfirmed = (await made.report())["absentHeld"], await made.findings()
    await made.scan_anew(confirmAbsent=True)
    await made.scan(300)
    found = await made.findings()

    assert (held, unconfirmed) == (True, [])
    assert sorted(each["moduleId"] for each in found) == TEN[:4]
    assert (await made.report())["absentHeld"] is False


@virtual
async def test_what_is_held_is_not_believed_because_health_says_that_it_is_away() -> None:
    made = await many()
    made.vanish(*TEN[:4])
    await made.scan(300)

    for revision, status in enumerate(("Degraded", "Unhealthy", "Degraded"), 1):
        about = {"serviceId": service_of(TEN[0]), "moduleId": TEN[0]}
        await made.hear(health(revision, status, aggregateId=about["serviceId"], **about))
        await made.scan()

    assert await made.findings() == []


@virtual
async def test_few_that_are_absent_need_no_word() -> None:
    made = await many()
    made.vanish(*TEN[:2])

    await made.scan(300)
    await made.scan(300)

    assert sorted(each["moduleId"] for each in await made.findings()) == TEN[:2]


@virtual
async def test_a_release_during_a_scan_is_not_judged_by_what_was_read_before() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    surface = made.surface

    class Overtaken(Blind):
        async def observe(self, component: Any) -> Any:
            live = await surface.observe(component)
            seeing(made)
            await made.release(2, environ={"MODE": "slow"})
            return live

    object.__setattr__(made.app, "surface", Overtaken(surface))

    await made.scan(300)

    assert await made.findings() == []


@virtual
async def test_a_part_that_cannot_be_read_is_named_to_the_tenant_whose_it_is() -> None:
    theirs = SurfaceComponent(ENVIRONMENT, TenantId("globex"), ModuleId("module-theirs"))
    for torn, reason in (
        (component_of(WEB), f"{WEB} is torn"),
        (theirs, "a component that is not known here could not be read"),
    ):
        made = await released_and_settled()
        made.world.torn.add(torn)

        await made.scan(300)

        covered = [each for each in (await made.report())["coverage"] if each["reason"]]
        assert not any(each["complete"] for each in covered)
        messages = {each["reason"]["message"] for each in covered}
        assert reason in messages
        assert "module-theirs" not in str(messages)


async def many() -> Drift:
    made = await drift()
    for module in TEN:
        await made.release(1, module)
    await made.scan()
    await made.settled()
    await made.scan(300)
    return made


@virtual
async def test_an_update_of_drift_resolves_neither_what_is_gone_nor_a_number() -> None:
    gone, other = await released_and_settled(), await released_and_settled()
    gone.vanish(WEB)
    other.tamper(replicas=5)
    for made in (gone, other):
        await made.scan(300)
        await made.scan(300)
        assert (await made.only())["status"] == "Open"

    await gone.store(absent_since=None)
    await other.store(replicas_differ_since=None)
    for made in (gone, other):
        await made.scan(300)
        await made.scan(300)

        assert (await made.only())["occurrences"] == 1
        assert made.told("RuntimeDriftResolved") == []
