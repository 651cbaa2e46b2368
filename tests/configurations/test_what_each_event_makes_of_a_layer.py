"""One layer: which of its versions is in force, what the others are, and what is kept of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_apps.configurations.errors import HeadMoved, NothingToReturnTo
from function_apps.configurations.model.adoption import ModuleAdoption
from function_apps.configurations.model.configuration import (
    RETURNED_MAX,
    TRANSITIONS,
    Adopted,
    AdoptionFailed,
    Configuration,
    Expected,
    Layer,
    Replaced,
    Returned,
    Version,
    evolve,
    keep_draft,
    new_configuration,
    publish,
    put_by,
    require_return,
    says_nothing,
    version_id,
    wait,
    write,
)
from function_apps.configurations.model.difference import changes
from function_apps.configurations.model.environment import (
    EnvironmentProjection,
    on_environment_event,
)
from function_apps.configurations.model.version_retention import past_versions, pinned_versions
from shared.contracts.configuration_merge import LayerContent, hash_of
from shared.contracts.configurations import (
    ConfigurationLayer,
    ConfigurationStatus,
    KeyChange,
    KeyChangeKind,
)
from shared.contracts.releases import ConfigurationPin
from shared.contracts.values import ConfigurationMode
from shared.kernel.clock import isoformat
from shared.kernel.transitions import TransitionRefused
from tests.kit.told import ENVIRONMENT
from tests.kit.virtual_time import EPOCH

State = ConfigurationStatus
ID = "cfg-one"
LATER = EPOCH + timedelta(hours=1)
LAYER = Layer(ConfigurationLayer.ENVIRONMENT, ENVIRONMENT)


def a_layer(**changes: Any) -> Configuration:
    return replace(new_configuration(ID, "acme", LAYER, EPOCH), **changes)


def written(head: Configuration, **values: Any) -> Version:
    content = LayerContent(head.version, values, None)
    return write(head, content, by="ann", comment="why", now=LATER)


def published(*contents: int) -> Configuration:
    head = a_layer()
    for content in contents:
        head = publish(head, written(head, a=content), EPOCH)
    return head


def test_a_new_layer_has_nothing_in_force() -> None:
    head = a_layer()

    assert (head.version, head.last, head.status, head.revision) == (0, 0, State.DRAFT, 0)
    assert (head.created_at, head.updated_at) == (isoformat(EPOCH), isoformat(EPOCH))
    assert says_nothing(head, None)


@pytest.mark.parametrize(
    ("layer", "label"),
    [
        (Layer(ConfigurationLayer.TENANT), "tenant"),
        (LAYER, ENVIRONMENT),
        (Layer(ConfigurationLayer.MODULE, ENVIRONMENT, "module-web"), "module-web"),
    ],
)
def test_a_layer_is_called_by_what_it_is_of(layer: Layer, label: str) -> None:
    assert layer.label == label


def test_a_version_is_the_next_number_written_against_what_is_in_force() -> None:
    head = a_layer(version=2, last=4)

    assert written(head, a=1) == Version(
        version_id(ID, 5), ID, 5, {"a": 1}, None, hash_of({"a": 1}), 2, "ann", isoformat(LATER),
        "why",
    )  # fmt: skip
    assert version_id(ID, 5) == "version/cfg-one/000000005"
    assert written(head, a=1).content == LayerContent(5, {"a": 1}, None)
    with_schema = replace(written(head, a=1), json_schema={"type": "object"})
    assert with_schema.content == LayerContent(5, {"a": 1}, {"type": "object"})
    with pytest.raises(HeadMoved):
        write(head, LayerContent(1, {}, None), by="ann", comment="", now=LATER)


def test_two_versions_say_the_same_only_with_the_same_content_and_base() -> None:
    one = written(a_layer(), a=1)

    assert one.says(replace(one, number=7, by="bob", comment=""))
    assert not one.says(replace(one, against=1))
    assert not one.says(replace(one, values={"a": 1.5}))
    assert not one.says(replace(one, json_schema={}))


def test_what_is_put_in_force_waits_for_its_instances() -> None:
    head = a_layer(last=3, revision=6)
    version = written(head, a=1)

    after = publish(head, version, LATER)

    at = isoformat(LATER)
    assert after == replace(
        head, version=4, last=4, status=State.PUBLISHED, content_hash=version.content_hash,
        revision=7, updated_at=at, published_at=at, awaited_since=at, due_at=at,
    )  # fmt: skip
    assert publish(a_layer(last=9), replace(version, number=3), LATER).last == 9
    with pytest.raises(HeadMoved):
        publish(after, version, LATER)


def test_what_a_return_replaces_is_rolled_back_and_what_a_new_one_does_superseded() -> None:
    head = published(1, 2)
    first = replace(written(a_layer(), a=1), number=1)
    second = replace(first, number=2)
    assert head.status_of(first) is State.SUPERSEDED

    after = publish(head, replace(written(head, a=1), returns_to=1), LATER, is_return=True)

    assert (after.version, after.returned) == (3, (2,))
    assert after.status_of(second) is State.ROLLED_BACK
    assert after.status_of(first) is State.SUPERSEDED
    assert after.status_of(replace(first, number=3)) is State.PUBLISHED
    many = replace(head, returned=tuple(range(1000, 1000 + RETURNED_MAX)))
    assert publish(many, written(many), LATER, is_return=True).returned == (
        *range(1001, 1000 + RETURNED_MAX),
        2,
    )


def test_a_draft_is_open_while_it_is_the_newest_and_against_what_is_in_force() -> None:
    head = published(1)
    draft = replace(written(head, a=2), is_draft=True)

    kept = keep_draft(head, draft, LATER)
    newer = publish(kept, written(kept, a=3), LATER)

    assert head.draft is None
    assert (kept.draft, kept.last, kept.version) == (2, 2, 1)
    assert (kept.revision, kept.updated_at) == (head.revision + 1, isoformat(LATER))
    assert kept.status_of(draft) is State.DRAFT
    assert (newer.version, newer.draft) == (3, None)
    assert newer.status_of(draft) is State.SUPERSEDED
    assert replace(kept, version=2, drafted_against=2).draft is None
    assert not says_nothing(kept, None)
    put = put_by(draft, "bob", LATER)
    assert put == replace(draft, is_draft=False, by="bob", at=isoformat(LATER))


def test_a_layer_says_nothing_without_values_and_schema() -> None:
    head = published(1)
    empty = replace(written(a_layer()), number=1)

    assert says_nothing(head, empty)
    assert not says_nothing(head, replace(empty, values={"a": 1}))
    assert not says_nothing(head, replace(empty, json_schema={"type": "object"}))


def test_a_version_is_judged_again_until_every_instance_runs_it() -> None:
    head, again = published(1), LATER + timedelta(minutes=5)

    synced = evolve(head, Adopted, LATER, None)
    more = evolve(synced, Expected, LATER, again)
    missed = evolve(head, AdoptionFailed, LATER, again)

    assert (synced.status, synced.due_at, synced.awaited_since) == (
        State.SYNCED,
        None,
        head.awaited_since,
    )
    assert (more.status, more.due_at, more.awaited_since) == (
        State.PUBLISHED,
        isoformat(again),
        isoformat(LATER),
    )
    assert (missed.status, missed.due_at, missed.awaited_since) == (
        State.SYNC_FAILED,
        isoformat(again),
        head.awaited_since,
    )
    assert synced.revision == head.revision + 1
    assert wait(head, again) == replace(head, due_at=isoformat(again))
    assert wait(head, None) == replace(head, due_at=None)


@pytest.mark.parametrize("event", [Returned, Replaced, Adopted])
def test_a_version_that_was_replaced_stays_so(event: Any) -> None:
    with pytest.raises(TransitionRefused):
        TRANSITIONS.after(State.SUPERSEDED, event)


def test_only_to_what_was_in_force_before_one_returns() -> None:
    head = published(1, 2)
    earlier = replace(written(a_layer(), a=1), number=1)

    require_return(head, earlier)
    for refused, why in (
        (replace(earlier, number=2), "version 2 of cfg-one is in force already"),
        (replace(earlier, is_draft=True), "version 1 of cfg-one is a draft"),
    ):
        with pytest.raises(NothingToReturnTo, match=why) as problem:
            require_return(head, refused)
        assert problem.value.target == "/toVersion"


def test_the_difference_of_two_versions_is_told_key_by_key_in_order() -> None:
    before = {"c": 1, "b": {"x": 1, "y": 2}, "a": True, "same": [1]}
    after = {"d": 4, "b": {"y": 2, "x": 1}, "a": 1, "same": [1]}

    assert list(changes(before, after)) == [
        KeyChange(key="a", kind=KeyChangeKind.CHANGED, before=True, after=1),
        KeyChange(key="c", kind=KeyChangeKind.REMOVED, before=1),
        KeyChange(key="d", kind=KeyChangeKind.ADDED, after=4),
    ]


def test_of_an_environment_only_newer_news_count() -> None:
    known = EnvironmentProjection(ENVIRONMENT, 3, is_open=True)
    newer = EnvironmentProjection(ENVIRONMENT, 4, is_open=False)

    assert on_environment_event(None, known) == known
    assert on_environment_event(known, newer) == newer
    assert on_environment_event(known, replace(known, is_open=False)) is None
    assert on_environment_event(newer, known) is None


def test_kept_are_versions_that_somebody_can_come_back_to() -> None:
    def old(number: int, **more: Any) -> Version:
        at = EPOCH + timedelta(days=number)
        return replace(written(a_layer()), number=number, at=isoformat(at), **more)

    versions = [
        *map(old, (1, 2, 3, 5)),
        old(4, is_draft=True, against=3),
        old(6, is_draft=True, against=5),
        old(7, is_draft=True, against=9),
    ]
    head = a_layer(version=9, last=10)

    assert past_versions(head, versions, before=8, pinned=[2]) == {1, 3, 4}
    assert past_versions(head, versions, before=3, pinned=[]) == {1, 2, 4}
    assert past_versions(replace(head, last=4), versions, before=3, pinned=[1, 2]) == frozenset()
    drafts = [old(1, is_draft=True, against=7)]
    assert past_versions(head, drafts, before=8, pinned=[]) == {1}
    assert past_versions(head, [], before=0, pinned=[]) == frozenset()


def test_pinned_are_the_versions_of_its_layer_that_releases_were_given() -> None:
    pins = (
        ConfigurationPin(tenant=1, environment=2, module=3),
        ConfigurationPin(tenant=1, environment=5, module=6),
    )
    adoption = ModuleAdoption(
        "svc", ENVIRONMENT, "module-web", 1, ConfigurationMode.PINNED, pins, isoformat(EPOCH)
    )

    assert pinned_versions(a_layer(), [adoption]) == {2, 5}
    assert pinned_versions(a_layer(layer=Layer(ConfigurationLayer.TENANT)), [adoption]) == {1}
    assert pinned_versions(a_layer(), []) == frozenset()
