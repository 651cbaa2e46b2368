"""What a module was given by its releases, and which of its instances are to run a version."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.configurations.model.adoption import (
    PINS_MAX,
    InstanceConfiguration,
    ModuleAdoption,
    adopt_release,
    end_release,
)
from function_apps.configurations.model.configuration import Configuration, Layer
from function_apps.configurations.model.count import Module, count
from shared.contracts.configurations import AdoptionBasis, AdoptRelease, ConfigurationLayer
from shared.contracts.releases import ConfigurationPin
from shared.contracts.values import ConfigurationMode
from shared.kernel.clock import isoformat
from tests.kit.told import ENVIRONMENT, WEB, part_of_end, released, service_of
from tests.kit.virtual_time import EPOCH

OBSERVED, REPORTED = AdoptionBasis.OBSERVED, AdoptionBasis.REPORTED
PINNED, LIVE = ConfigurationMode.PINNED, ConfigurationMode.LIVE
FLOATING: Final = ConfigurationMode.FLOATING
OTHER: Final = "module-other"


def at(minutes: float) -> str:
    return isoformat(EPOCH + timedelta(minutes=minutes))


def digest(number: int) -> str:
    return f"sha256:{number:064}"


def pin(number: int, **versions: int) -> ConfigurationPin:
    """Return the merge *number*, of that version of each layer where none is given."""
    layers = {"tenant": number, "environment": number, "module": number, **versions}
    return ConfigurationPin(hash=digest(number), **layers)


def ended(
    number: int, minutes: float, *, merge: int | None = None, mode: ConfigurationMode = PINNED
) -> AdoptRelease:
    """Return that release *number* was given a merge, and that one of its instances proved it."""
    component = released(
        WEB, number, configuration=pin(merge or number).model_dump(by_alias=True),
        configurationMode=mode,
    )  # fmt: skip
    return _command(number, minutes, component)


def removed(minutes: float) -> AdoptRelease:
    return _command(9, minutes, None)


def _command(number: int, minutes: float, component: Any) -> AdoptRelease:
    proofs = [
        {"moduleId": module, "instance": f"{module}-0", "releaseRevision": number,
         "digest": digest(1), "configurationHash": digest(number), "checkedAt": at(minutes)}
        for module in (WEB, OTHER)
    ]  # fmt: skip
    return part_of_end(AdoptRelease, number, minutes, component, proofs=proofs if component else [])


def after(known: ModuleAdoption | None, command: AdoptRelease) -> ModuleAdoption | None:
    return adopt_release(known, command, service_of(WEB))


def adopted(*commands: AdoptRelease) -> ModuleAdoption:
    known: ModuleAdoption | None = None
    for each in commands:
        known = after(known, each)
    assert known is not None
    return known


def proved(number: int, minutes: float) -> InstanceConfiguration:
    return InstanceConfiguration(f"{WEB}-0", digest(number), at(minutes), OBSERVED)


def test_a_release_says_what_its_module_was_given_and_its_own_instances_proved() -> None:
    assert adopted(ended(2, 1, mode=LIVE)) == ModuleAdoption(
        service_of(WEB), ENVIRONMENT, WEB, 2, LIVE, (pin(2),), at(1), (proved(2, 1),)
    )


@pytest.mark.parametrize(
    ("number", "minutes", "is_news"),
    [
        pytest.param(1, 9, False, id="an-older-release-that-ended-later"),
        pytest.param(2, 4, False, id="the-same-at-an-earlier-time"),
        pytest.param(2, 5, False, id="the-same-again"),
        pytest.param(2, 6, True, id="the-same-proved-later"),
        pytest.param(3, 4, True, id="a-newer-release"),
    ],
)
def test_a_newer_release_is_news_and_a_later_proof_of_the_same(
    number: int, minutes: float, *, is_news: bool
) -> None:
    assert (after(adopted(ended(2, 5)), ended(number, minutes)) is not None) is is_news


@pytest.mark.parametrize(
    ("minutes", "is_news"),
    [
        pytest.param(4, False, id="before-the-release"),
        pytest.param(5, False, id="at-its-time"),
        pytest.param(6, True, id="after-it"),
    ],
)
def test_a_module_that_was_removed_has_no_instances_and_keeps_what_it_was_given(
    minutes: float, *, is_news: bool
) -> None:
    known = adopted(ended(2, 5))

    gone = after(known, removed(minutes))

    expected = replace(known, released=False, instances=(), ended_at=at(minutes))
    assert gone == (expected if is_news else None)


@pytest.mark.parametrize(
    ("minutes", "is_there"),
    [
        pytest.param(6, False, id="that-it-ended"),
        pytest.param(8, True, id="that-came-after-it"),
    ],
)
def test_a_removal_that_is_heard_of_first_ends_the_release_before_it(
    minutes: float, *, is_there: bool
) -> None:
    gone = adopted(removed(7))

    late = after(gone, ended(1, minutes))

    assert (gone.released, gone.pins, gone.instances, gone.ended_at) == (False, (), (), at(7))
    assert (late is not None and late.released) is is_there


@pytest.mark.parametrize(
    ("minutes", "is_back"),
    [
        pytest.param(6, False, id="before-the-removal"),
        pytest.param(7, False, id="at-its-time"),
        pytest.param(8, True, id="after-it"),
    ],
)
def test_a_removed_module_comes_back_with_a_later_release_only(
    minutes: float, *, is_back: bool
) -> None:
    gone = adopted(ended(2, 5), removed(7))

    back = after(gone, ended(3, minutes))

    assert (back is not None and back.released) is is_back


@pytest.mark.parametrize(
    ("minutes", "is_over"),
    [
        pytest.param(4, False, id="before-its-release"),
        pytest.param(5, True, id="at-its-time"),
        pytest.param(6, True, id="after-it"),
    ],
)
def test_an_environment_that_ends_takes_the_releases_before_its_end_with_it(
    minutes: float, *, is_over: bool
) -> None:
    known = adopted(ended(2, 5))

    over = end_release(known, EPOCH + timedelta(minutes=minutes))

    expected = replace(known, released=False, instances=(), ended_at=at(minutes))
    assert over == (expected if is_over else None)
    assert end_release(replace(known, released=False), EPOCH + timedelta(minutes=9)) is None


def test_earlier_merges_are_known_newest_first_once_each_and_up_to_a_bound() -> None:
    again = adopted(ended(1, 1), ended(2, 2), ended(3, 3, merge=1))
    many = adopted(*(ended(number, number) for number in range(1, PINS_MAX + 3)))

    assert again.pins == (pin(1), pin(2))
    assert again.pin == pin(1)
    assert [each.tenant for each in many.pins] == [*range(PINS_MAX + 2, 2, -1)]


@pytest.mark.parametrize(
    ("mode", "is_live", "follows"),
    [
        pytest.param(PINNED, False, False, id="pinned"),
        pytest.param(FLOATING, False, True, id="floating"),
        pytest.param(LIVE, True, True, id="live"),
    ],
)
def test_live_and_floating_modules_follow_what_is_in_force(
    mode: ConfigurationMode, *, is_live: bool, follows: bool
) -> None:
    adoption = adopted(ended(1, 1, mode=mode))

    assert (adoption.is_live, adoption.follows) == (is_live, follows)


def head(version: int, kind: ConfigurationLayer) -> Configuration:
    return Configuration("cfg-1", "acme", Layer(kind), at(0), at(0), version=version)


def module(mode: ConfigurationMode = PINNED, *, current: int = 2, runs: int | None = 1) -> Module:
    """Return a module that was given merge 1, of which one instance runs *runs*."""
    adoption = adopted(ended(1, 1, mode=mode))
    instance = InstanceConfiguration(
        "web-0", digest(runs) if runs else None, at(3), REPORTED if mode is LIVE else OBSERVED
    )
    return Module(adoption, [instance], pin(current))


@pytest.mark.parametrize(
    ("judged", "version", "expected", "acknowledged"),
    [
        pytest.param(module(), 1, 1, 1, id="its-release-names-the-version"),
        pytest.param(module(), 2, 0, 0, id="its-release-names-another"),
        pytest.param(module(runs=2), 1, 1, 0, id="its-instance-runs-another"),
        pytest.param(module(runs=None), 1, 1, 0, id="its-instance-runs-none"),
        pytest.param(module(LIVE), 2, 1, 0, id="one-that-follows-is-behind"),
        pytest.param(module(LIVE, runs=2), 2, 1, 1, id="one-that-follows-runs-it"),
        pytest.param(module(LIVE, runs=2), 1, 0, 0, id="one-that-follows-left-it"),
        pytest.param(module(FLOATING), 2, 1, 0, id="a-floating-one-is-not-rolled-out"),
    ],
)
@pytest.mark.parametrize("kind", ConfigurationLayer)
def test_expected_are_the_instances_that_are_given_the_version(
    kind: ConfigurationLayer, judged: Module, version: int, expected: int, acknowledged: int
) -> None:
    found = count(head(version, kind), [judged])

    assert (found.expected, found.acknowledged) == (expected, acknowledged)
    assert [*found.missing] == ["web-0"] * (expected - acknowledged)


def test_only_the_layer_that_is_asked_for_counts() -> None:
    adoption = replace(adopted(ended(1, 1)), pins=(pin(1, environment=7),))
    judged = replace(module(), adoption=adoption)

    assert count(head(7, ConfigurationLayer.ENVIRONMENT), [judged]).expected == 1
    assert count(head(7, ConfigurationLayer.TENANT), [judged]).expected == 0


@pytest.mark.parametrize(
    ("judged", "version"),
    [
        pytest.param(module(), 1, id="the-one-that-it-was-given"),
        pytest.param(module(LIVE, runs=2), 2, id="the-one-in-force"),
        pytest.param(module(LIVE, runs=1), 1, id="an-earlier-one"),
        pytest.param(module(LIVE, runs=8), 0, id="one-that-nobody-knows"),
        pytest.param(module(LIVE, runs=None), 0, id="none"),
    ],
)
def test_an_instance_is_shown_with_the_version_that_it_runs(judged: Module, version: int) -> None:
    wanted = judged.current if judged.adoption.follows else judged.adoption.pin

    (shown,) = count(head(wanted.tenant, ConfigurationLayer.TENANT), [judged]).instances

    assert (shown.module_id, shown.instance, shown.version) == (WEB, "web-0", version)
    assert (shown.basis, isoformat(shown.at or EPOCH)) == (judged.instances[0].basis, at(3))


def test_one_module_that_reports_itself_makes_the_count_a_reported_one() -> None:
    tenant = head(1, ConfigurationLayer.TENANT)

    assert count(tenant, [module(), module(FLOATING)]).basis is OBSERVED
    assert count(tenant, [module(), module(LIVE)]).basis is REPORTED
    assert count(tenant, []).basis is OBSERVED
