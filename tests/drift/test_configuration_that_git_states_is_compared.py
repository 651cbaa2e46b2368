"""The layers of configuration that a repository states are compared with those in force."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from function_apps.drift.errors import NotRepairable
from function_apps.drift.model.configuration_layers import layer_id
from function_apps.drift.repository import LAYERS, SOURCES
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.drift import FindingStatus
from shared.contracts.retention import MESSAGES_KEPT
from shared.messaging.unit_of_work import Decision, Json, View
from shared.persistence.store import Delete, partition_of
from tests.drift.compared import virtual
from tests.drift.followed import Followed, followed, layers, manifest, published
from tests.drift.isolated import believed, coverage
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, KEY, WEB, environment

PLACE = "git/values/environment"
LIMITS = {"values": {"limit": 20, "mode": "fast", "apiKey": {"secret": "api"}}}
IN_FORCE = {"limit": 20, "mode": "fast", "apiKey": {"secret": "api"}}


async def compared(
    *events: ConfigurationPublished, files: Mapping[str, str] | None = None
) -> Followed:
    """Return drift that has heard *events*, and has believed what it found."""
    made = await followed(files or {"limits.json": layers(LIMITS)})
    await made.drift.hear(*events)
    await believed(made.drift)
    return made


async def changed(made: Followed, files: Mapping[str, str | None]) -> None:
    await made.push(files)
    await made.look()
    await believed(made.drift)


async def open_values(made: Followed) -> dict[str, tuple[Any, Any]]:
    found = await made.drift.findings(status=FindingStatus.OPEN.value, plane="configuration")
    return {each["path"]: (each["desired"], each["actual"]) for each in found}


@virtual
async def test_what_is_in_force_as_git_says_is_no_finding_and_was_looked_at() -> None:
    made = await compared(published("environment", 1, IN_FORCE))

    assert await made.drift.findings() == []
    seen = await coverage(made.drift, "configuration")
    assert (seen["complete"], seen["seen"], seen["unknown"]) == (True, 2, 0)


@virtual
async def test_each_key_that_differs_is_a_finding_with_what_both_say_and_whose_word_it_is() -> None:
    made = await compared(
        published("environment", 1, {"limit": 30, "mode": "fast", "more": True}),
    )

    assert await open_values(made) == {
        f"{PLACE}/apiKey": ('{"secret":"api"}', None),
        f"{PLACE}/limit": ("20", "30"),
        f"{PLACE}/more": (None, "true"),
    }
    kinds = {each["path"]: each for each in await made.drift.findings()}
    assert [each["kind"] for each in kinds.values()] == ["Missing", "Changed", "Unmanaged"]
    finding = kinds[f"{PLACE}/limit"]
    commit = (await made.drift.report())["git"]["commit"]
    assert commit[:12] in finding["cause"]
    assert "version 1 is in force" in finding["cause"]
    assert (finding["severity"], finding["serviceId"]) == ("Low", None)
    assert finding["remediation"] == {
        "policy": "never", "command": "PublishConfiguration", "owner": "configurations",
    }  # fmt: skip


@virtual
async def test_a_text_is_shown_by_its_digest_and_a_reference_to_a_secret_as_one() -> None:
    made = await compared(
        published("environment", 1, {**IN_FORCE, "mode": "a-word", "apiKey": {"secret": "other"}})
    )

    found = await open_values(made)

    assert found[f"{PLACE}/apiKey"] == ('{"secret":"api"}', '{"secret":"other"}')
    assert all(each.startswith("sha256:") for each in found[f"{PLACE}/mode"])
    assert "a-word" not in str(await made.drift.report())


@pytest.mark.parametrize(
    ("stated", "given"),
    [
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, id="another-order"),
        pytest.param({"a": 1.0, "b": [2.0]}, {"a": 1, "b": [2]}, id="numbers-in-other-words"),
        pytest.param({}, None, id="a-layer-without-values-that-nobody-published"),
    ],
)
@virtual
async def test_the_same_in_other_words_is_harmless(stated: Any, given: Any) -> None:
    events = [] if given is None else [published("environment", 1, given)]
    made = await compared(*events, files={"a.json": layers({"values": stated})})

    assert await made.drift.findings() == []


@virtual
async def test_layers_of_the_tenant_and_of_modules_are_compared_with_their_own() -> None:
    stated = layers(
        {"layer": "tenant", "values": {"region": 1}}, {"module": WEB, "values": {"threads": 4}}
    )
    made = await compared(
        published("tenant", 1, {"region": 2}),
        published("module", 1, {"threads": 8}),
        published("environment", 1, {"nobody": 1}),
        files={"all.json": stated},
    )

    assert await open_values(made) == {
        "git/values/tenant/region": ("1", "2"),
        f"git/values/module/{WEB}/threads": ("4", "8"),
    }


@virtual
async def test_the_list_in_a_release_file_and_a_file_of_one_layer_are_read_alike() -> None:
    release = manifest().replace(
        '"releaseRef"', '"configuration": [{"values": {"limit": 1}}], "releaseRef"'
    )
    one = f"environment: shop\nmodule: {WEB}\nvalues: {{threads: 4}}\n"
    made = await compared(
        published("environment", 1, {"limit": 2}),
        published("module", 1, {"threads": 8}),
        files={"web.json": release, "threads.yaml": one},
    )

    assert [*await open_values(made)] == [
        f"{PLACE}/limit", f"git/values/module/{WEB}/threads",
    ]  # fmt: skip


@virtual
async def test_a_publication_or_a_commit_ends_the_finding() -> None:
    made = await compared(published("environment", 1, {**IN_FORCE, "limit": 30}))
    assert [*await open_values(made)] == [f"{PLACE}/limit"]

    await made.drift.hear(published("environment", 2, IN_FORCE))
    await believed(made.drift)
    assert (await made.drift.only())["status"] == "Resolved"

    await made.drift.hear(published("environment", 3, {**IN_FORCE, "limit": 40}))
    await believed(made.drift)
    assert await open_values(made) == {f"{PLACE}/limit": ("20", "40")}
    await changed(made, {"limits.json": layers({"values": {**IN_FORCE, "limit": 40}})})
    assert await open_values(made) == {}


@virtual
async def test_an_older_publication_that_is_heard_late_changes_nothing() -> None:
    made = await compared(
        published("environment", 2, IN_FORCE), published("environment", 1, {"limit": 1})
    )

    assert await made.drift.findings() == []


@virtual
async def test_a_layer_that_nobody_published_is_one_finding() -> None:
    made = await compared()

    assert await open_values(made) == {PLACE: ("published", None)}


@virtual
async def test_a_layer_that_was_published_before_drift_kept_them_is_named_and_not_judged() -> None:
    made = await followed({"limits.json": layers({"module": WEB, "values": {"threads": 4}})})
    await made.drift.release(2, configuration={"module": 3, "hash": "sha256:" + "3" * 64})
    await believed(made.drift)

    assert await open_values(made) == {}
    seen = await coverage(made.drift, "configuration")
    assert seen["reason"]["code"] == "NotHeard"
    assert seen["reason"]["message"].startswith(f"module/{WEB}")


@virtual
async def test_what_was_published_and_not_merged_a_moment_ago_is_not_found_yet() -> None:
    made = await compared(published("environment", 1, IN_FORCE))

    await made.drift.hear(published("environment", 2, {**IN_FORCE, "limit": 30}))
    await made.drift.scan_anew()

    assert await made.drift.findings() == []


@virtual
async def test_a_value_in_force_that_is_adopted_is_let_be_until_either_side_says_otherwise() -> (
    None
):
    made = await compared(published("environment", 1, {**IN_FORCE, "limit": 30}))
    finding = await made.drift.only()

    assert (await made.drift.decide(finding, "adopt"))["status"] == "Adopted"
    assert (await made.drift.decide(finding, "adopt"))["status"] == "Adopted"
    await believed(made.drift)
    assert (await made.drift.only())["status"] == "Adopted"

    await made.drift.hear(published("environment", 2, {**IN_FORCE, "limit": 40}))
    await believed(made.drift)
    assert await open_values(made) == {f"{PLACE}/limit": ("20", "40")}

    await made.drift.hear(published("environment", 3, {**IN_FORCE, "limit": 30}))
    await believed(made.drift)
    assert await open_values(made) == {f"{PLACE}/limit": ("20", "30")}


@virtual
async def test_an_adopted_value_that_git_says_too_now_is_resolved() -> None:
    made = await compared(published("environment", 1, {**IN_FORCE, "limit": 30}))
    await made.drift.decide(await made.drift.only(), "adopt")

    await changed(made, {"limits.json": layers({"values": {**IN_FORCE, "limit": 30}})})

    assert (await made.drift.only())["status"] == "Resolved"


@virtual
async def test_a_value_is_acknowledged_suppressed_and_not_repaired_by_drift() -> None:
    made = await compared(published("environment", 1, {**IN_FORCE, "limit": 30}))
    finding = await made.drift.only()

    with pytest.raises(NotRepairable, match="config publish"):
        await made.drift.decide(finding, "remediate")
    assert (await made.drift.decide(finding, "acknowledge"))["status"] == "Acknowledged"
    body = {"length": "PT1H", "reason": "later"}
    assert (await made.drift.decide(finding, "suppress", body))["status"] == "Suppressed"
    await believed(made.drift)
    assert await open_values(made) == {}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        pytest.param({"values": {"apiKey": "hunter2"}}, "apiKey is a secret", id="a-secret"),
        pytest.param({"module": WEB}, "values", id="no-values"),
        pytest.param({"values": {}, "value": 1}, "value", id="an-unknown-field"),
        pytest.param({"layer": "site", "values": {}}, "layer", id="no-layer"),
        pytest.param({"environment": "prod", "values": {}}, "expected shop", id="another"),
        pytest.param({"environment": ["shop"], "values": {}}, "expected shop", id="a-list"),
        pytest.param({"environment": {}, "values": {}}, "expected shop", id="a-mapping"),
        pytest.param({"layer": ["tenant"], "values": {}}, "layer", id="a-list-of-layers"),
        pytest.param({"layer": {"a": 1}, "values": {}}, "layer", id="a-mapping-as-layer"),
        pytest.param({"module": [], "values": {}}, "moduleId", id="a-list-as-module"),
        pytest.param({"module": {"a": 1}, "values": {}}, "moduleId", id="a-mapping-as-module"),
    ],
)
@virtual
async def test_a_layer_that_could_not_be_published_is_named_and_changes_nothing(
    entry: Mapping[str, Any], reason: str
) -> None:
    made = await compared(published("environment", 1, {**IN_FORCE, "limit": 30}))

    await changed(made, {"limits.json": layers(entry)})

    assert await open_values(made) == {f"{PLACE}/limit": ("20", "30")}
    (told,) = (await made.drift.report())["git"]["reasons"]
    assert told["code"] == "ManifestInvalid"
    assert reason in told["message"]
    assert "hunter2" not in told["message"]


@virtual
async def test_a_layer_in_two_files_is_told_and_the_first_holds() -> None:
    made = await compared(
        published("environment", 1, {"limit": 1}),
        files={"a.json": layers({"values": {"limit": 1}}), "b.json": layers({"values": {}})},
    )

    assert await open_values(made) == {}
    (told,) = (await made.drift.report())["git"]["reasons"]
    assert told["code"] == "StatedTwice"


@pytest.mark.parametrize(
    "stored_version",
    [
        pytest.param({"reader_version": 0}, id="of-an-earlier-version"),
        pytest.param({"read_by": 1}, id="under-its-earlier-name"),
    ],
)
@virtual
async def test_a_source_that_was_read_by_an_earlier_version_is_read_anew(
    stored_version: Mapping[str, int],
) -> None:
    made = await compared(published("environment", 1, {"limit": 30}))

    def of_earlier(view: View) -> Decision[Json]:
        stored = dict(SOURCES.encode(view.get(SOURCES, made.source_id)))
        del stored["reader_version"]
        environments = [{**each, "layers": []} for each in stored["environments"]]
        earlier = SOURCES.decode({**stored, "environments": environments, **stored_version})
        return Decision({}, writes=[SOURCES.put(earlier)])

    work = made.drift.app.service.work
    await work.change(made.drift.ctx.without_marker(), SOURCES, made.source_id, of_earlier)
    await made.drift.scan_anew()
    assert await open_values(made) == {}

    await made.look(301)
    await believed(made.drift)

    assert f"{PLACE}/limit" in await open_values(made)


@virtual
async def test_an_environment_that_is_gone_ends_its_findings() -> None:
    made = await compared(published("environment", 1, {**IN_FORCE, "limit": 30}))

    await made.drift.hear(environment(2, gone=True))
    await made.drift.scan()

    assert (await made.drift.only())["status"] == "Resolved"


async def with_a_pinned_layer() -> Followed:
    """Return drift with a layer of `module-web` that differs from Git and that a release pins."""
    made = await compared(
        published("module", 1, {"threads": 8}),
        files={"web.json": layers({"module": WEB, "values": {"threads": 4}})},
    )
    await made.drift.release(2, configuration={"module": 1, "hash": "sha256:" + "3" * 64})
    return made


async def forget_the_layer(made: Followed) -> None:
    """Take the layer of `module-web` away, as an older copy of the store does."""
    store, identity = made.drift.app.service.store, layer_id(f"module/{WEB}", KEY, TENANT)
    partition = partition_of(TENANT, ENVIRONMENT)
    stored = await store.read(partition, LAYERS.document_id(identity))
    assert stored is not None
    await store.batch(partition, [Delete(stored.id, stored.etag)])
    await believed(made.drift)
    assert (await coverage(made.drift, "configuration"))["reason"]["code"] == "NotHeard"


@virtual
async def test_a_layer_that_is_not_heard_of_any_more_keeps_its_findings() -> None:
    made = await with_a_pinned_layer()
    found = await open_values(made)

    await forget_the_layer(made)

    assert await open_values(made) == found


@virtual
async def test_a_layer_that_is_not_heard_of_any_more_keeps_what_was_adopted() -> None:
    made = await with_a_pinned_layer()
    await made.drift.decide(await made.drift.only(), "adopt")

    await forget_the_layer(made)
    await made.drift.hear(published("module", 2, {"threads": 8}))
    await believed(made.drift)

    assert (await made.drift.only())["status"] == "Adopted"


@virtual
async def test_a_number_under_the_name_of_a_secret_is_shown_by_its_digest() -> None:
    made = await compared(
        published("environment", 1, {"db.password": 1234, "limit": 1}),
        files={"a.json": layers({"values": {"db.password": 5678, "limit": 2}})},
    )

    found = await open_values(made)

    assert found[f"{PLACE}/limit"] == ("2", "1")
    assert all(each.startswith("sha256:") for each in found[f"{PLACE}/db.password"])


@virtual
async def test_a_layer_without_values_is_remembered_while_its_environment_is_there() -> None:
    made = await compared(published("environment", 1, IN_FORCE), published("environment", 2, {}))
    found = await open_values(made)
    assert found[f"{PLACE}/limit"] == ("20", None)

    await made.drift.app.service.clock.sleep(timedelta(days=120).total_seconds())
    await believed(made.drift)

    assert await open_values(made) == found


@virtual
async def test_a_layer_that_its_environment_took_away_is_kept_for_late_messages_only() -> None:
    made = await compared(published("environment", 1, IN_FORCE))
    await made.drift.hear(environment(2, gone=True), published("environment", 2, {}))

    layer = layer_id("environment", KEY, TENANT)
    assert await made.drift.app.service.work.find(LAYERS, layer, TENANT) is not None
    await made.drift.app.service.clock.sleep(MESSAGES_KEPT.total_seconds() + 1)

    assert await made.drift.app.service.work.find(LAYERS, layer, TENANT) is None


@virtual
async def test_new_layers_that_say_too_much_are_left_out_and_versions_are_compared() -> None:
    made = await compared(published("environment", 1, {**IN_FORCE, "limit": 30}))
    full = {f"key.of.some.length.{at:04}": f"text-{at}" for at in range(1000)}
    files = {
        f"m{at:02}.json": layers({"module": f"module-m{at:02}", "values": full}) for at in range(14)
    }

    await changed(made, {"web.json": manifest("2.0"), **files})

    open_paths = {each["path"] for each in await made.drift.findings(status="Open")}
    assert {"git/version", f"{PLACE}/limit"} <= open_paths
    (told,) = (await made.drift.report())["git"]["reasons"]
    assert told["code"] == "TooManyManifests"
    assert told["message"].startswith("14 new layers left out")
