"""What a repository says of an environment is compared with the release in force."""

import asyncio
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from function_apps.drift.errors import (
    DriftNotFound,
    EnvironmentNotOwned,
    GitSourceExists,
    GitSourceNotFound,
    NotRepairable,
    SignatureRefused,
    TooManyGitSources,
)
from function_apps.drift.model import git_source, git_state
from function_apps.drift.use_cases import follow_git_source
from function_apps.drift.use_cases.fetch_git_sources import fetch_due_sources
from function_apps.drift.use_cases.receive_webhook import KEY_KEPT
from shared.contracts.deployments import DeploymentEnded
from shared.contracts.drift import FindingStatus, FollowGitSource
from shared.git.port import FetchFailed, Snapshot
from shared.git.smart_http import RepositoryNotAllowed
from shared.kernel.errors import Invalid
from shared.kernel.ids import ModuleId
from shared.surfaces.spec import SurfaceComponent
from shared.vault.port import SecretValue
from shared.web.rate_limit import TooManyRequests
from tests.drift.compared import (
    component_with,
    drift,
    released_and_settled,
    scaled,
    step,
    virtual,
)
from tests.drift.followed import (
    CREDENTIAL,
    FOLLOW,
    SOURCES,
    Followed,
    followed,
    manifest,
    vault_of,
)
from tests.kit.push import SIGNING_KEY, signature
from tests.kit.service import TENANT
from tests.kit.told import DIGEST, ENVIRONMENT, KEY, WEB, ended, environment

OTHER = "sha256:" + "2" * 64


async def open_findings(made: Followed) -> dict[str, tuple[Any, Any]]:
    """Return desired and actual of the findings that are open, by plane and path."""
    found = await made.drift.findings(status=FindingStatus.OPEN.value)
    return {f"{each['plane']}/{each['path']}": (each["desired"], each["actual"]) for each in found}


@virtual
async def test_a_pushed_commit_is_found_after_its_webhook_and_named() -> None:
    made = await followed()
    assert await open_findings(made) == {}

    commit = await made.push({"web.json": manifest("1.1", artifact=OTHER)})
    await made.look()

    assert await open_findings(made) == {
        "workload/git/version": ("1.1", "1.0"),
        "workload/git/digest": (OTHER, DIGEST),
    }
    finding = (await made.drift.findings())[0]
    assert commit[:12] in finding["cause"]
    assert finding["severity"] == "Low"
    assert finding["remediation"] == {
        "policy": "never", "command": "Deploy", "owner": "deployments",
    }  # fmt: skip
    assert (await made.drift.report())["git"]["commit"] == commit
    assert (await made.source())["commit"] == commit


@virtual
async def test_a_commit_that_takes_it_back_resolves_the_finding() -> None:
    made = await followed()
    await made.push({"web.json": manifest("1.1")})
    await made.look()

    await made.push({"web.json": manifest("1.0")})
    await made.look()

    (finding,) = await made.drift.findings()
    assert finding["status"] == "Resolved"


@virtual
async def test_a_deployment_of_what_git_says_resolves_the_finding() -> None:
    made = await followed({"web.json": manifest("2.0")})
    assert [*await open_findings(made)] == ["workload/git/version"]

    await made.drift.release(2, version="2.0")
    await made.drift.scan()
    await made.drift.settled()

    (finding,) = await made.drift.findings()
    assert finding["status"] == "Resolved"


@virtual
async def test_replicas_images_and_pinned_configuration_are_compared() -> None:
    text = manifest("1.0", replicas=3).replace(
        '"releaseRef"', '"configuration": {"module": 4}, "releaseRef"'
    )
    made = await followed({"web.json": text})

    assert await open_findings(made) == {
        "replicas/git/replicas": ("3", "2"),
        "configuration/git/module": ("4", "0"),
    }


@virtual
async def test_replicas_are_not_compared_while_a_policy_has_the_number() -> None:
    made = await followed({"web.json": manifest("1.0", replicas=3)})
    assert [*await open_findings(made)] == ["replicas/git/replicas"]

    await made.drift.hear(scaled(1))
    await made.drift.release(2, version="1.0", askedReplicas=2)
    await made.drift.scan()
    await made.drift.settled()

    assert await open_findings(made) == {}


@virtual
async def test_a_path_of_an_archive_says_nothing_of_its_digest() -> None:
    made = await followed({"web.json": manifest("1.0", artifact="build/shop.zip")})

    assert await open_findings(made) == {}


@virtual
async def test_a_module_that_was_never_deployed_is_missing_until_its_manifest_is_gone() -> None:
    made = await followed(
        {"web.json": manifest(), "new.json": manifest("3.0", moduleId="module-new")}
    )
    assert await open_findings(made) == {"workload/git/version": ("3.0", None)}
    finding = await made.drift.only()
    assert (finding["moduleId"], finding["kind"]) == ("module-new", "Missing")

    await made.push({"new.json": None})
    await made.look()

    assert await open_findings(made) == {}


@virtual
async def test_a_module_that_only_git_names_is_looked_for_in_the_inventory_alone() -> None:
    made = await followed()
    named = [f"module-m{number}" for number in range(20)]

    await made.push({f"{each}.json": manifest(moduleId=each) for each in named})
    await made.look()

    assert len(await made.drift.findings(status="Open")) == len(named)
    assert {*made.drift.world.observed} == {WEB}


@virtual
async def test_a_module_that_git_names_is_not_missing_where_the_inventory_may_have_it() -> None:
    made = await followed()
    component = SurfaceComponent(ENVIRONMENT, TENANT, ModuleId("module-new"))
    await made.drift.apply(component_with(component.module))
    made.drift.world.torn.add(component)

    await made.push({"new.json": manifest("3.0", moduleId=component.module)})
    await made.look()

    assert await open_findings(made) == {}


@virtual
async def test_a_module_that_git_does_not_name_is_not_compared_with_it() -> None:
    made = await followed({"other.yaml": "releaseRef: r\nremove: [module-gone]\n"})

    assert await open_findings(made) == {}
    assert (await made.drift.report())["git"]["modules"] == 0


@virtual
async def test_a_source_says_which_environment_it_has_nothing_for() -> None:
    made = await followed(path="elsewhere")

    (said,) = (await made.source())["environments"]

    assert (said["environmentId"], said["modules"]) == (ENVIRONMENT, 0)
    assert [each["code"] for each in said["reasons"]] == ["NoManifests"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("components: [", "not YAML", id="no-yaml"),
        pytest.param("- a\n", "expected a mapping", id="a-list"),
        pytest.param("a: &x 1\nb: *x\n", "aliases", id="aliases"),
        pytest.param("releaseRef: r\n", ".json: components or remove names", id="no-module"),
        pytest.param("environment: prod\nreleaseRef: r\n", "expected shop", id="of-another"),
        pytest.param("releaseRef: 2026-01-01\n", "not YAML", id="a-date"),
        pytest.param(manifest(colour="red"), "colour", id="an-unknown-field"),
        pytest.param("[" * 5000, "not YAML", id="open"),
        pytest.param(f"a: {'[' * 40}{']' * 40}\n", "levels", id="deep"),
        pytest.param(f"a: [{'1,' * 50_000}]\n", "values", id="many-values"),
        pytest.param("releaseRef: !!bool foo\n", "no value that JSON has", id="no-truth-value"),
        pytest.param("releaseRef: !!int ''\n", "line 1, column 13", id="no-number"),
        pytest.param("releaseRef: !!timestamp x\n", "no value that JSON has", id="no-time"),
        pytest.param(f"a: 1{':1' * 120_000}\n", "no value that JSON has", id="to-the-base-of-60"),
        pytest.param(f"a: 1{':1' * 120_000}.5\n", "no value", id="to-the-base-of-60-with-a-point"),
        pytest.param(
            "values:\n  on: 5\n", "line 2, column 3: the name on is no text", id="a-truth-value"
        ),
        pytest.param("values: {limits: {No: 5}}\n", "the name No is no text", id="another-one"),
        pytest.param("7: x\n", "the name is no text in YAML: put it in", id="a-number-as-name"),
        pytest.param("? !!str [a]\n: b\n", "the name is no text in YAML", id="a-list-as-name"),
        pytest.param("a: 1\nb: 2\na: 3\n", "line 3, column 1: a name stands twice", id="twice"),
        pytest.param("values: {b: 1, 'b': 2}\n", "a name stands twice", id="twice-in-quotes"),
        pytest.param(f"a: {'9' * 200_000}\n", "no value that JSON has", id="a-long-number"),
    ],
)
@virtual
async def test_a_manifest_that_does_not_parse_is_named_and_changes_nothing_else(
    text: str, said: str
) -> None:
    made = await followed(
        {"web.json": manifest("1.1"), "new.json": manifest("3.0", moduleId="module-new")}
    )
    before = await open_findings(made)
    assert before

    await made.push({"web.json": text})
    await made.look()

    assert await open_findings(made) == before
    (reason,) = (await made.drift.report())["git"]["reasons"]
    assert reason["code"] == "ManifestInvalid"
    assert said in reason["message"]
    assert "web.json" in reason["message"]


@virtual
async def test_a_module_that_moved_out_of_a_file_now_damaged_has_its_new_words() -> None:
    made = await followed({"a.json": manifest("1.1")})

    await made.push({"a.json": "components: [", "b.json": manifest("1.2")})
    await made.look()

    assert await open_findings(made) == {"workload/git/version": ("1.2", "1.0")}
    reasons = (await made.drift.report())["git"]["reasons"]
    assert [each["code"] for each in reasons] == ["ManifestInvalid"]


@virtual
async def test_a_file_that_is_renamed_and_damaged_in_one_commit_changes_nothing() -> None:
    made = await followed({"a.json": manifest("1.1")})
    before = await open_findings(made)

    await made.push({"a.json": None, "b.json": "components: ["})
    await made.look()
    assert await open_findings(made) == before

    await made.push({"b.json": "releaseRef: r\nremove: [module-gone]\n"})
    await made.look()
    assert await open_findings(made) == {}


@virtual
async def test_what_is_kept_of_damaged_files_counts_as_modules_of_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(git_state, "MODULES_MAX", 1)
    made = await followed({"web.json": manifest("1.1")})

    await made.push({"web.json": "components: [", "new.json": manifest(moduleId="module-new")})
    await made.look()

    git = (await made.drift.report())["git"]
    assert git["modules"] == 1
    assert [each["code"] for each in git["reasons"]] == ["TooManyManifests", "ManifestInvalid"]


@pytest.mark.parametrize(
    "pushed",
    [
        pytest.param(
            {"a.json": manifest(moduleId="module-a"), "web.json": manifest("1.1")}, id="of-too-many"
        ),
        pytest.param(
            {"a.json": manifest(moduleId="module-a"), "web.json": None, "z.json": manifest("1.1")},
            id="moved-to-one-too-many",
        ),
        pytest.param(
            {"web.json": None, f"{'n' * 251}.json": manifest("1.1")}, id="moved-to-a-long-name"
        ),
    ],
)
@virtual
async def test_a_manifest_that_is_not_read_changes_nothing(
    pushed: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await followed({"web.json": manifest("1.1")})
    before = await made.drift.findings()
    assert before
    monkeypatch.setattr(git_state, "FILES_MAX", 1)

    await made.push(pushed)
    await made.look()

    after = await made.drift.findings()
    assert [each for each in after if each["moduleId"] == WEB] == before


def read_of(
    files: dict[str, dict[str, str]], before: git_state.DesiredState | None = None
) -> git_state.DesiredState:
    """Return what *files* say, by folder; each is that of an environment."""
    known = {each.folder: each for each in before.environments} if before else {}
    return git_state.read_state(
        Snapshot(
            "c" * 40,
            {
                folder: {name: text.encode() for name, text in each.items()}
                for folder, each in files.items()
            },
        ),
        [
            git_state.EnvironmentFolder(
                each, "shop", known.get(each, git_state.DesiredEnvironment(ENVIRONMENT))
            )
            for each in files
        ],
    )


def test_modules_that_are_known_have_room_before_new_ones_of_every_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(git_state, "MODULES_MAX", 2)
    web, new = manifest("1.1"), manifest(moduleId="module-new")
    before = read_of({"a": {"web.json": web}, "b": {"web.json": web}})

    after = read_of(
        {"a": {"a.json": new, "web.json": web}, "b": {"a.json": new, "web.json": web}}, before
    )

    assert [[each.module_id for each in one.modules] for one in after.environments] == [
        [WEB],
        [WEB],
    ]
    assert {each.code for one in after.environments for each in one.reasons} == {"TooManyManifests"}


def test_a_damaged_manifest_is_told_before_modules_that_are_stated_twice() -> None:
    twice = {f"a{number:02}.json": manifest() for number in range(12)}

    (read,) = read_of({"a": {**twice, "web.json": "components: ["}}).environments

    assert [each.code for each in read.reasons][:2] == ["ManifestInvalid", "StatedTwice"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("environment: hunter2\nreleaseRef: r\n", id="of-another-environment"),
        pytest.param("connection: Server=db;Pwd=hunter2\n", id="no-such-field"),
        pytest.param("components: postgres://u:hunter2@db\n", id="another-type"),
        pytest.param(manifest(command="serve --key hunter2"), id="a-command-line"),
        pytest.param(manifest(componentType="hunter2"), id="another-word"),
        pytest.param("a: !hunter2 b\n", id="a-tag"),
        pytest.param('a: "hunter2\n', id="a-text-that-does-not-end"),
        pytest.param("a: *hunter2\n", id="an-alias"),
        pytest.param("? [hunter2]\n: b\n", id="a-list-as-name"),
    ],
)
@virtual
async def test_no_value_of_a_file_is_in_the_reason_that_names_it(text: str) -> None:
    made = await followed()

    await made.push({"values.yaml": text})
    await made.look()

    (reason,) = (await made.drift.report())["git"]["reasons"]
    assert reason["code"] == "ManifestInvalid"
    assert "hunter2" not in str(reason)


@virtual
async def test_a_name_that_acts_on_a_terminal_is_escaped_in_its_reason() -> None:
    made = await followed()

    await made.push({"\x1b[2J\nerror: type it.yaml": "a: ["})
    await made.look()

    (reason,) = (await made.drift.report())["git"]["reasons"]
    assert reason["message"].startswith("\\x1b[2J\\nerror: type it.yaml: ")


@virtual
async def test_files_with_names_that_no_file_system_takes_are_left_out_with_a_reason() -> None:
    made = await followed()
    long = {
        f"{'n' * 80_000}{number}.json": manifest(moduleId=f"module-m{number}")
        for number in range(190)
    }

    commit = await made.push({**long, "web.json": manifest("2.0")})
    await made.look()

    git = (await made.drift.report())["git"]
    assert (git["commit"], git["modules"]) == (commit, 1)
    (reason,) = git["reasons"]
    assert reason["message"] == "190 left out: a name has at most 255 bytes"


@virtual
async def test_manifests_that_say_too_much_to_be_stored_are_a_failed_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = await followed()
    commit = made.repository.commit
    monkeypatch.setattr(git_state, "STATE_MAX", 100)

    await made.push({"web.json": manifest("2.0")})
    await made.look()

    git = (await made.drift.report())["git"]
    assert git["commit"] == commit
    assert git["reasons"][0]["code"] == "RepositoryTooLarge"


@virtual
async def test_whatever_a_fetch_ends_with_it_is_told_and_the_next_one_comes() -> None:
    made = await followed()
    made.repository.problem = ZeroDivisionError("a defect of ours")  # of any kind

    await made.push({"web.json": manifest("2.0")})
    await made.look()
    assert (await made.source())["reason"]["code"] == "Failed"

    made.repository.problem = None
    await made.look(601)
    assert await open_findings(made) == {"workload/git/version": ("2.0", "1.0")}


def test_manifests_are_read_no_further_when_their_time_is_over() -> None:
    snapshot = Snapshot("c" * 40, {"shop": {"web.json": manifest().encode()}})
    before = git_state.DesiredEnvironment(ENVIRONMENT)
    environment = git_state.EnvironmentFolder("shop", "shop", before)

    with pytest.raises(FetchFailed) as failed:
        git_state.read_state(snapshot, [environment], lambda: True)

    assert failed.value.reason.code == "TimedOut"


@virtual
async def test_a_failed_fetch_changes_nothing_and_says_since_when() -> None:
    made = await followed({"web.json": manifest("1.1")})
    before, commit = await open_findings(made), made.repository.commit
    made.repository.problem = FetchFailed("the repository has no answer", code="Unreachable")

    await made.push({"web.json": manifest("1.2")})
    await made.look()
    first = (await made.drift.report())["git"]
    await made.look(1000)

    git = (await made.drift.report())["git"]
    assert await open_findings(made) == before
    assert git["commit"] == commit
    assert git["staleSince"] == first["staleSince"] is not None
    assert git["reasons"][0]["code"] == "Unreachable"
    assert (await made.source())["reason"]["code"] == "Unreachable"


@virtual
async def test_a_repository_that_answers_again_is_stale_no_more() -> None:
    made = await followed()
    made.repository.problem = FetchFailed("the repository has no answer", code="Unreachable")
    await made.look(301)

    made.repository.problem = None
    await made.look(3601)

    source = await made.source()
    assert (source["staleSince"], source["reason"]) == (None, None)


@virtual
async def test_a_source_without_webhooks_is_fetched_every_five_minutes() -> None:
    made = await followed(webhookSecretRef=None)
    fetches = made.repository.fetches

    await made.look(200)
    assert made.repository.fetches == fetches
    await made.look(101)

    assert made.repository.fetches == fetches + 1


@virtual
async def test_twenty_webhooks_are_two_fetches_at_most_and_one_at_a_time() -> None:
    made = await followed()
    fetches, made.repository.takes_s = made.repository.fetches, 20.0
    await made.drift.app.service.clock.sleep(30)
    await made.webhook()

    async def looks() -> None:
        for _ in range(10):
            await asyncio.gather(*(fetch_due_sources(made.drift.app) for _ in range(3)))
            await made.drift.app.service.clock.sleep(5)

    async def webhooks() -> None:
        for _ in range(19):
            await made.drift.app.service.clock.sleep(1)
            await made.webhook()

    await asyncio.gather(looks(), webhooks())

    assert made.repository.fetches == fetches + 2
    assert made.repository.most_at_once == 1


@virtual
async def test_a_webhook_that_is_sent_again_and_again_is_a_fetch_every_ten_seconds() -> None:
    made = await followed()
    await made.drift.app.service.clock.sleep(60)
    fetches = made.repository.fetches

    for _ in range(60):
        await made.webhook()
        await fetch_due_sources(made.drift.app)
        await made.drift.app.service.clock.sleep(1)

    assert made.repository.fetches - fetches <= 7


@virtual
async def test_more_webhooks_than_one_a_second_are_refused() -> None:
    made = await followed()

    for _ in range(20):
        await made.webhook()
    with pytest.raises(TooManyRequests):
        await made.webhook()


@virtual
async def test_webhooks_without_a_proof_take_none_of_the_sources_own_away() -> None:
    made = await followed()

    for _ in range(40):
        with pytest.raises(SignatureRefused):
            await made.webhook(signature=signature(b"{}", "another"))

    await made.webhook()


@virtual
async def test_the_vault_is_not_asked_for_each_webhook_without_a_proof() -> None:
    made = await followed()
    clock, vault = made.drift.app.service.clock, vault_of(made.drift)
    with pytest.raises(SignatureRefused):
        await made.webhook(signature=signature(b"{}", "another"))
    await vault.set("git-webhook", SecretValue("another"))

    with pytest.raises(SignatureRefused):
        await made.webhook(signature=signature(b"{}", "another"))
    await clock.sleep(KEY_KEPT.total_seconds())

    await made.webhook(signature=signature(b"{}", "another"))


@virtual
async def test_a_fetch_that_was_killed_is_begun_again() -> None:
    made = await followed()
    await made.push({"web.json": manifest("1.1")})
    await made.drift.app.service.clock.sleep(30)
    made.repository.takes_s = 10_000.0
    killed = asyncio.create_task(fetch_due_sources(made.drift.app))
    await made.drift.app.service.clock.sleep(10)
    killed.cancel()
    made.repository.takes_s = 0.0

    await made.look(60)
    assert await open_findings(made) == {}
    await made.look(301)

    assert await open_findings(made) == {"workload/git/version": ("1.1", "1.0")}


@virtual
async def test_the_late_end_of_a_fetch_changes_nothing_after_a_newer_one() -> None:
    made = await followed()
    await made.push({"web.json": manifest("1.1")})
    await made.drift.app.service.clock.sleep(30)
    made.repository.takes_s = 400.0
    late = asyncio.create_task(fetch_due_sources(made.drift.app))
    await made.drift.app.service.clock.sleep(10)
    made.repository.takes_s = 0.0
    commit = await made.push({"web.json": manifest("1.2")})
    await made.look(301)

    assert await late == 1
    await made.drift.scan(300)

    assert (await made.source())["commit"] == commit
    assert await open_findings(made) == {"workload/git/version": ("1.2", "1.0")}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"signature": signature(b"{}", "another")}, id="another-key"),
        pytest.param({"signature": signature(b"other")}, id="another-body"),
        pytest.param({"signature": ""}, id="none"),
        pytest.param({"signature": "sha1=" + "0" * 40}, id="another-kind"),
        pytest.param({"signature": "\udce4"}, id="no-text"),
        pytest.param({"sourceId": "gs-" + "a" * 12 + "-" + "b" * 12}, id="an-unknown-source"),
        pytest.param({"sourceId": "odd"}, id="no-id"),
        pytest.param({"query": {"tenant": "globex"}}, id="another-tenant"),
        pytest.param({"query": {"tenant": "../acme"}}, id="no-tenant"),
    ],
)
@virtual
async def test_a_webhook_without_proof_is_answered_alike_and_fetches_nothing(changed: Any) -> None:
    made = await followed()
    source = await made.source()

    with pytest.raises(SignatureRefused) as refused:
        await made.webhook(**changed)

    assert str(refused.value) == str(SignatureRefused())
    assert await made.source() == source
    fetches = made.repository.fetches
    await fetch_due_sources(made.drift.app)
    assert made.repository.fetches == fetches


@virtual
async def test_a_source_without_a_key_takes_no_webhook() -> None:
    made = await followed(webhookSecretRef=None)

    with pytest.raises(SignatureRefused):
        await made.webhook()


@virtual
async def test_a_credential_comes_from_the_vault_and_is_shown_nowhere() -> None:
    made = await followed(credentialRef="git-token")

    assert made.repository.credentials[-1] == "ann:secret"
    assert "secret" not in str(await made.source()).replace("webhookSecret", "")
    assert "ann:" not in str(await made.source())


@virtual
async def test_a_credential_that_is_not_there_is_a_failed_fetch() -> None:
    made = await followed(credentialRef="git-none")

    assert (await made.source())["reason"] == {
        "code": "NoSecret", "message": "the vault of shop has no secret git-none",
    }  # fmt: skip
    assert made.repository.fetches == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/environments.git",
        "https://git.example.org.example.com/environments.git",
        "https://git.example.org:8443/environments.git",
        "https://example.com/git.example.org",
        "https://git.example.org\\.example.com/environments.git",
    ],
)
@virtual
async def test_a_credential_is_sent_to_its_own_host_only(url: str) -> None:
    made = await followed(repository=url, credentialRef="git-token")

    assert made.repository.fetches == 0
    reason = (await made.source())["reason"]
    assert reason["code"] == "CredentialOfAnotherHost"
    assert "ann" not in str(reason)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("https://token@git.example.org", "token"),
        ("https://ann:p%40ss@GIT.example.org:443/shop", "ann:p@ss"),
        ("token", None),
        ("ann:secret", None),
        ("http://token@git.example.org", None),
        ("https://token@git.example.org:x", None),
        ("https://[token@git.example.org", None),
        ("https://git.example.org", None),
    ],
)
@virtual
async def test_a_credential_names_its_host(text: str, sent: str | None) -> None:
    made = await followed(credentialRef="git-token")
    await vault_of(made.drift).set("git-token", SecretValue(text))

    await made.look(301)

    code = ((await made.source())["reason"] or {"code": None})["code"]
    if sent is None:
        assert code == "CredentialOfAnotherHost"
    else:
        assert (made.repository.credentials[-1], code) == (sent, None)


@virtual
async def test_a_key_of_webhooks_is_no_credential_and_a_credential_no_key() -> None:
    made = await followed(credentialRef="git-webhook", webhookSecretRef="git-token")

    assert made.repository.fetches == 0
    assert (await made.source())["reason"]["code"] == "CredentialOfAnotherHost"
    with pytest.raises(SignatureRefused):
        await made.webhook(signature=signature(b"{}", CREDENTIAL))


@virtual
async def test_only_secrets_that_are_named_for_git_are_sent_to_a_repository() -> None:
    made = await released_and_settled()

    with pytest.raises(Invalid):
        await made.post(SOURCES, {**FOLLOW, "credentialRef": "db-password"})


@virtual
async def test_what_a_deployment_is_changing_is_not_found_in_git_either() -> None:
    made = await followed()
    await made.drift.hear(step(2, WEB))

    await made.push({"web.json": manifest("2.0")})
    await made.look()

    assert await open_findings(made) == {}


def held(number: int, version: str) -> DeploymentEnded:
    """Return that the deployment *number* of WEB in *version* was rolled back, and is held."""
    rolled_back = ended(number, [component_with(revision=1)], rolled_back=True)
    facts = rolled_back.model_dump(mode="json", by_alias=True)
    hold = {
        "environmentId": ENVIRONMENT, "moduleId": WEB, "digest": DIGEST, "version": version,
        "releaseRef": f"v{number}", "deploymentId": facts["deploymentId"],
        "reason": {"code": "GateFailed", "message": "it failed"}, "heldAt": facts["endedAt"],
    }  # fmt: skip
    return type(rolled_back).model_validate({**facts, "holds": [hold]})


@pytest.mark.parametrize("heard", [[0, 1], [1, 0]])
@virtual
async def test_a_hold_ends_with_a_later_deployment_of_it_also_where_it_is_heard_after_that(
    heard: list[int],
) -> None:
    made = await followed({"web.json": manifest("2.0")})
    events = [held(2, "2.0"), ended(3, [component_with(revision=3, version="2.0")])]
    await made.drift.hear(*(events[each] for each in heard))

    await made.drift.release(4, version="2.1")
    await made.drift.scan()
    await made.drift.settled()

    assert await open_findings(made) == {"workload/git/version": ("2.0", "2.1")}
    assert (await made.drift.report())["git"]["reasons"] == []


@pytest.mark.parametrize("heard", [*permutations(range(3))])
@virtual
async def test_a_hold_whose_place_another_took_does_not_come_back_when_that_ends(
    heard: tuple[int, ...],
) -> None:
    made = await followed({"web.json": manifest("2.0")})
    last = ended(4, [component_with(revision=4, version="2.1")])
    events = [held(2, "2.0"), held(3, "2.1"), last]

    await made.drift.hear(*(events[each] for each in heard))
    await made.drift.scan()
    await made.drift.settled()

    assert (await made.drift.report())["git"]["reasons"] == []


@virtual
async def test_an_older_hold_that_is_heard_late_takes_the_place_of_no_newer_one() -> None:
    made = await followed({"web.json": manifest("2.1")})
    await made.drift.hear(held(4, "2.1"), held(2, "2.0"))

    await made.drift.settled()

    (reason,) = (await made.drift.report())["git"]["reasons"]
    assert "2.1" in reason["message"]


@virtual
async def test_a_deployment_from_before_a_hold_that_is_heard_late_does_not_end_it() -> None:
    made = await followed()
    await made.drift.hear(held(4, "2.0"))
    await made.drift.hear(ended(3, [component_with(revision=3, version="2.0")]))

    await made.push({"web.json": manifest("2.0")})
    await made.drift.settled()
    await made.look()

    (reason,) = (await made.drift.report())["git"]["reasons"]
    assert reason["code"] == "Held"


@virtual
async def test_a_release_that_is_held_is_skipped_and_named() -> None:
    made = await followed()
    await made.drift.hear(held(2, "2.0"))

    await made.push({"web.json": manifest("2.0")})
    await made.drift.settled()
    await made.look()

    assert await open_findings(made) == {}
    (reason,) = (await made.drift.report())["git"]["reasons"]
    assert (reason["code"], WEB in reason["message"]) == ("Held", True)
    await made.push({"web.json": manifest("2.1")})
    await made.look()
    assert await open_findings(made) == {"workload/git/version": ("2.1", "1.0")}


@pytest.mark.parametrize("verb", ["remediate", "adopt"])
@virtual
async def test_what_git_says_is_deployed_and_neither_repaired_nor_adopted(verb: str) -> None:
    made = await followed({"web.json": manifest("1.1")})

    with pytest.raises(NotRepairable, match="deploy what Git says, or change Git"):
        await made.drift.decide(await made.drift.only(), verb)


@virtual
async def test_a_finding_of_git_that_is_suppressed_holds_no_repair() -> None:
    made = await followed({"web.json": manifest("1.1")})
    await made.drift.decide(await made.drift.only(), "suppress", {"length": "P1D", "reason": "x"})
    made.drift.tamper(environ={"MODE": "slow"})
    await made.drift.scan(300)

    finding = next(each for each in await made.drift.findings() if each["path"] == "environ/MODE")
    repaired = await made.drift.decide(finding, "remediate")

    assert repaired["status"] == "Remediating"


@virtual
async def test_a_source_that_was_removed_ends_its_findings() -> None:
    files = {"web.json": manifest("1.1"), "new.json": manifest("3.0", moduleId="module-new")}
    made = await followed(files)
    assert len(await made.drift.findings(status="Open")) == 2

    await made.drift.call("DELETE", f"{SOURCES}/{{sourceId}}", sourceId=made.source_id)
    await made.drift.scan(300)

    assert await open_findings(made) == {}
    assert (await made.drift.report())["git"] is None
    with pytest.raises(GitSourceNotFound):
        await made.source()


@virtual
async def test_an_environment_that_is_gone_ends_the_findings_of_what_was_never_deployed() -> None:
    made = await followed({"new.json": manifest("3.0", moduleId="module-new")})
    assert len(await open_findings(made)) == 1

    await made.drift.hear(environment(2, gone=True))
    await made.drift.scan(300)

    assert await open_findings(made) == {}


@virtual
async def test_a_source_whose_environments_have_ended_is_fetched_no_more_and_says_so() -> None:
    made = await followed()
    fetches = made.repository.fetches
    await made.drift.hear(environment(2, gone=True))

    for _ in range(5):
        await made.look(3601)

    assert made.repository.fetches == fetches
    assert (await made.source())["reason"]["code"] == "EnvironmentsEnded"


@virtual
async def test_an_environment_that_is_made_again_is_compared_again() -> None:
    made = await followed()
    await made.drift.hear(environment(2, gone=True))
    await made.look(301)
    await made.drift.hear(environment(3))

    await made.look(3601)

    assert (await made.source())["reason"] is None


@virtual
async def test_a_source_that_was_removed_and_added_again_takes_nothing_of_the_old_fetch() -> None:
    made = await followed({"web.json": manifest("1.1")})
    fetches = made.repository.fetches
    await made.drift.call("DELETE", f"{SOURCES}/{{sourceId}}", sourceId=made.source_id)
    await made.drift.post(SOURCES, FOLLOW)
    made.repository.takes_s = 60.0
    old = asyncio.create_task(fetch_due_sources(made.drift.app))
    await made.drift.app.service.clock.sleep(1)
    await made.drift.call("DELETE", f"{SOURCES}/{{sourceId}}", sourceId=made.source_id)
    await made.drift.post(SOURCES, FOLLOW)
    made.repository.takes_s = 90.0
    new = asyncio.create_task(fetch_due_sources(made.drift.app))

    await old

    assert made.repository.fetches == fetches + 2
    assert (await made.source())["commit"] is None
    await new
    assert (await made.source())["commit"] is not None


@virtual
async def test_the_same_source_is_followed_once_and_an_environment_has_one() -> None:
    made = await followed()

    assert (await made.drift.post(SOURCES, FOLLOW))["sourceId"] == made.source_id
    for other in ({"every": "PT1H"}, {"path": "elsewhere"}):
        with pytest.raises(GitSourceExists):
            await made.drift.post(SOURCES, {**FOLLOW, **other})
    listed = await made.drift.get(SOURCES)
    assert [each["sourceId"] for each in listed["value"]] == [made.source_id]


@virtual
async def test_a_source_is_of_own_environments_and_of_allowed_repositories() -> None:
    made = await released_and_settled()
    unknown = "env-" + "b" * 12

    with pytest.raises(DriftNotFound):
        await made.post(SOURCES, {**FOLLOW, "environmentIds": [unknown]})
    for url in ("http://git.example.org/x.git", "ssh://git.example.org/x.git"):
        with pytest.raises(RepositoryNotAllowed):
            await made.post(SOURCES, {**FOLLOW, "repository": url})


@virtual
async def test_a_repeat_of_following_is_answered_whatever_became_of_the_environment() -> None:
    made = await followed()
    facts = environment(2).model_dump(mode="json", by_alias=True)
    await made.drift.hear(type(environment(2)).model_validate({**facts, "ownerTenantId": "globex"}))

    assert (await made.drift.post(SOURCES, FOLLOW))["sourceId"] == made.source_id


@virtual
async def test_an_environment_of_another_tenant_has_no_vault_for_a_source() -> None:
    made = await drift(knows_environment=False)
    facts = environment(1).model_dump(mode="json", by_alias=True)
    await made.hear(type(environment(1)).model_validate({**facts, "ownerTenantId": "globex"}))

    with pytest.raises(EnvironmentNotOwned):
        await made.post(SOURCES, FOLLOW)


@virtual
async def test_a_tenant_has_so_many_sources_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_git_source, "SOURCES_MAX", 1)
    made = await followed()
    other = "env-" + "c" * 12
    facts = environment(1).model_dump(mode="json", by_alias=True)
    event = {**facts, "aggregateId": other, "environmentId": other, "name": "other"}
    await made.drift.hear(type(environment(1)).model_validate(event))

    with pytest.raises(TooManyGitSources):
        await made.drift.post(SOURCES, {**FOLLOW, "path": "b", "environmentIds": [other]})


@virtual
async def test_an_environment_that_is_gone_ends_the_findings_of_what_was_removed_before() -> None:
    made = await followed()
    made.drift.vanish(WEB)
    await made.drift.hear(ended(2, [], removed=[WEB], at=made.drift.app.service.clock.now()))
    await made.drift.scan(15)
    await made.drift.scan(300)
    assert "workload/git/version" in await open_findings(made)

    await made.drift.hear(environment(2, gone=True))
    await made.drift.scan(300)

    assert await open_findings(made) == {}


def test_a_fetch_that_began_by_a_clock_that_was_wrong_holds_up_no_other() -> None:
    now, wrong = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 10, tzinfo=UTC)
    command = FollowGitSource.model_validate(FOLLOW)
    source = git_source.new_source(command, "gs", "acme", now)

    killed = git_source.begin_fetch(source, wrong)
    assert killed is not None
    ordered = git_source.order_fetch(killed, now)

    assert ordered is not None
    assert git_source.begin_fetch(ordered, now) is not None


@virtual
async def test_a_line_end_after_a_secret_of_the_vault_is_no_part_of_it() -> None:
    made = await followed(credentialRef="git-token")
    vault = made.drift.app.vaults.at(made.drift.app.vaults.of_environment(KEY, {}))
    await vault.set("git-webhook", SecretValue(f"{SIGNING_KEY}\n"))
    await vault.set("git-token", SecretValue("https://ann:secret@git.example.org\n"))

    await made.push({"web.json": manifest("2.0")})  # its webhook is signed
    await made.look()

    assert made.repository.credentials[-1] == "ann:secret"
