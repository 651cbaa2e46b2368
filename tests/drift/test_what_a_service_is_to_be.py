"""What a service is to be, what of its live words is shown, and when a snapshot is kept."""

import hashlib
import json
from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.desired import desired_planes, learned, live_planes, without_secrets
from function_apps.drift.model.live_service import LiveService
from function_apps.drift.model.planes import released_planes
from function_apps.drift.model.snapshot import TEXT_MAX, Snapshot, read_snapshot, take_snapshot
from shared.contracts.drift import DriftDefaults, Plane
from shared.contracts.releases import ConfigurationPin, ReleasedComponent
from shared.contracts.scaling import LeftReplicas
from shared.kernel.clock import isoformat
from shared.surfaces.properties import Plane as SurfacePlane
from shared.surfaces.properties import Properties
from tests.drift.compared import component_with
from tests.drift.test_what_a_baseline_takes_from_events import FRESH, released_at
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, service_of
from tests.kit.virtual_time import EPOCH

HASH: Final = "sha256:" + "c" * 64
RULES: Final = DriftDefaults()


def component(revision: int = 2, **changes: Any) -> ReleasedComponent:
    return ReleasedComponent.model_validate(component_with(WEB, revision, **changes))


def baseline(**changes: Any) -> ServiceBaseline:
    """Return the baseline of a service whose release has a configuration."""
    made = released_at(2, 0, command=["serve"])
    assert made.component is not None
    pinned = made.component.model_copy(update={"configuration": ConfigurationPin(hash=HASH)})
    return replace(made, component=pinned, digest_key="k", **changes)


# Its release, what was learned of it, and what people and policies decided since.


@pytest.mark.parametrize(
    ("weights", "weight"),
    [
        pytest.param({"2": 100}, "100", id="all-of-the-traffic"),
        pytest.param({"1": 70, "2": 30}, "30", id="a-part"),
        pytest.param({}, "0", id="none-where-somebody-paused-it"),
    ],
)
def test_a_release_is_to_have_the_traffic_that_it_recorded(
    weights: dict[str, int], weight: str
) -> None:
    planes = released_planes(component(routing={"weights": weights}), ENVIRONMENT, TENANT)

    assert planes[Plane.ROUTING]["weight"] == weight


def test_a_service_that_only_the_inventory_knows_is_to_be_as_that_says() -> None:
    listed = replace(FRESH, inventory={"version": "1.0"})

    assert desired_planes(listed) == {Plane.WORKLOAD: {"version": "1.0"}}


def test_a_policy_says_the_number_of_instances_and_the_rules() -> None:
    scaled = baseline(is_scaled=True, scaling={"minimum": "1", "maximum": "9"})

    assert desired_planes(scaled)[Plane.REPLICAS] == {"minimum": "1", "maximum": "9"}


def test_the_number_that_a_policy_left_is_the_one_that_is_wanted() -> None:
    left = baseline(left=LeftReplicas(replicas=4, release_revision=2))

    assert desired_planes(left)[Plane.REPLICAS]["replicas"] == "4"


def test_the_number_that_a_policy_left_is_wanted_also_of_what_recorded_none() -> None:
    job = component(schedule={"cron": "0 2 * * *"}, port=None, probes={})
    left = baseline(left=LeftReplicas(replicas=4, release_revision=2))

    planes = desired_planes(replace(left, component=job))

    assert planes[Plane.REPLICAS] == {"replicas": "4"}


def test_what_was_adopted_is_wanted_instead_and_what_was_adopted_as_gone_is_not() -> None:
    adopted = {"workload/environ/MODE": "slow", "workload/version": None}

    words = desired_planes(baseline(adopted=adopted))[Plane.WORKLOAD]

    assert words["environ/MODE"] == "slow"
    assert "version" not in words


# What is shown of what is live.


def test_of_a_service_that_only_the_inventory_knows_only_what_that_says_is_compared() -> None:
    listed = replace(FRESH, inventory={"version": "1.0", "digest": "d"})
    live = {
        SurfacePlane.WORKLOAD: {"version": "2.0", "image": "i"},
        SurfacePlane.ROUTING: {"a": "b"},
    }

    assert live_planes(live, {}, listed) == {Plane.WORKLOAD: {"version": "2.0"}}


@pytest.mark.parametrize(
    ("path", "word", "desired"),
    [
        pytest.param("version", "2.0", None, id="what-is-no-secret"),
        pytest.param("environ/MODE", "fast", "fast", id="what-is-wanted"),
        pytest.param("environ/MODE", "", None, id="nothing"),
    ],
)
def test_a_word_is_shown_as_it_is(path: str, word: str, desired: str | None) -> None:
    wanted = {Plane.WORKLOAD: {path: desired} if desired else {}}

    shown = without_secrets({Plane.WORKLOAD: {path: word}}, wanted, baseline())

    assert shown == {Plane.WORKLOAD: {path: word}}


def test_what_may_be_secret_is_shown_as_a_digest_by_the_key_of_the_service() -> None:
    live = {Plane.WORKLOAD: {"environ/MODE": "hunter2"}}

    first, again, other = (
        without_secrets(live, {}, replace(baseline(), digest_key=key))[Plane.WORKLOAD]
        for key in ("k", "k", "l")
    )

    assert first["environ/MODE"].startswith("hmac-sha256:")
    assert first == again != other


def test_of_secrets_there_is_only_the_version_and_that_is_shown() -> None:
    live = {Plane.SECRETS: {"environ/PASSWORD": "v7"}}

    assert without_secrets(live, {}, baseline()) == live


def test_what_was_adopted_by_a_digest_without_a_key_is_the_same_still() -> None:
    digest = f"sha256:{hashlib.sha256(b'slow').hexdigest()}"
    wanted = {Plane.WORKLOAD: {"environ/MODE": digest}}

    shown = without_secrets({Plane.WORKLOAD: {"environ/MODE": "slow"}}, wanted, baseline())

    assert shown == wanted


# What is learned of its configuration by the first look.


def shows(**words: str) -> Properties:
    return {SurfacePlane.CONFIGURATION: words}


def test_the_first_look_at_a_release_says_what_its_configuration_was_given_as() -> None:
    assert learned(baseline(), shows(hash=HASH, json="digest-1")) == {"json": "digest-1"}


@pytest.mark.parametrize(
    "live",
    [
        pytest.param(shows(hash="sha256:other", json="digest-1"), id="other-values"),
        pytest.param({}, id="nothing"),
    ],
)
def test_where_not_the_recorded_values_are_given_nothing_is_learned(live: Properties) -> None:
    assert learned(baseline(), live) is None


def test_what_was_learned_stays() -> None:
    known = {"json": "digest-1"}

    assert learned(baseline(configuration=known), shows(hash=HASH, json="digest-2")) == known


def test_of_a_service_without_a_release_nothing_is_learned() -> None:
    assert learned(FRESH, shows(json="digest-1")) is None


# Snapshots.

LIVE: Final = LiveService(
    revisions={2: {SurfacePlane.WORKLOAD: {"version": "2.0"}}, 1: {}, 3: {}},
    departures=("web-2-0 runs 1.0",),
)


def taken(known: ServiceBaseline, live: LiveService = LIVE) -> Snapshot | None:
    return take_snapshot(known, live, EPOCH, RULES)


def test_a_snapshot_has_the_release_in_force_what_else_is_there_and_who_departs() -> None:
    snapshot = taken(baseline())

    assert snapshot is not None
    assert (snapshot.service_id, snapshot.taken_at) == (service_of(WEB), isoformat(EPOCH))
    assert snapshot.content == {
        "releaseRevision": 2,
        "planes": {"workload": {"version": "2.0"}},
        "others": [1, 3],
        "departures": ["web-2-0 runs 1.0"],
    }
    assert snapshot.differences > 0


@pytest.mark.parametrize(
    "live",
    [
        pytest.param(LiveService(), id="nothing-is-there"),
        pytest.param(LiveService(departures=None), id="not-all-could-be-asked"),
    ],
)
def test_of_what_is_not_there_a_snapshot_says_nothing(live: LiveService) -> None:
    snapshot = taken(baseline(), live)

    assert snapshot is not None
    assert snapshot.content == {
        "releaseRevision": 2, "planes": {}, "others": [], "departures": [],
    }  # fmt: skip


def test_what_the_last_snapshot_has_is_not_kept_again() -> None:
    snapshot = taken(baseline())
    assert snapshot is not None

    assert taken(baseline(snapshot=snapshot.digest)) is None


def test_a_service_of_which_too_much_is_there_has_no_snapshot() -> None:
    empty = taken(baseline(), LiveService(departures=("",)))
    assert empty is not None
    room = TEXT_MAX - len(empty.text)

    largest = taken(baseline(), LiveService(departures=("x" * room,)))
    larger = taken(baseline(), LiveService(departures=("x" * (room + 1),)))

    assert largest is not None
    assert larger is None


def test_a_snapshot_is_read_as_it_was_written_however_long_it_is() -> None:
    text = json.dumps({"others": ["x" * 70_000]})
    written = Snapshot(service_of(WEB), isoformat(EPOCH), text, 3)

    assert read_snapshot(written.snapshot_id, written.values) == written
