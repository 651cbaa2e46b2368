"""The manifests that a cluster gets give the platform what its table says, and nothing else."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from shared.surfaces.aks.permissions import PERMISSIONS
from tests.kit.kubernetes_rights import rights_of
from tools.kubernetes_rbac import FOLDER, SERVICE_ACCOUNT, main, text_of

OBJECT_ID = "00000000-0000-0000-0000-000000000007"


def by_kind(text: str) -> Mapping[str, Any]:
    """Return the first manifest of each kind."""
    return {each["kind"]: each for each in reversed([*yaml.safe_load_all(text)])}


def test_the_file_is_what_its_tool_writes() -> None:
    file = FOLDER / "rbac.yaml"

    assert file.read_text() == text_of(SERVICE_ACCOUNT), "run: python -m tools.kubernetes_rbac"


def test_each_right_stands_there_once_and_none_is_for_everything() -> None:
    rights = [right for each in PERMISSIONS for right in each.rights]

    assert len(rights) == len(set(rights))
    assert [right for right in rights if "*" in "".join(right)] == []


def test_what_gives_more_rights_or_shows_secrets_is_not_in_it() -> None:
    resources = {right[1] for each in PERMISSIONS for right in each.rights}
    verbs = {verb for each in PERMISSIONS for verb in each.verbs}

    forbidden = {"secrets", "pods/exec", "pods/attach", "tokenreviews", "nodes/proxy"}
    assert resources & forbidden == set()
    assert {each for each in resources if "role" in each or "token" in each} == set()
    nodes = [each.verbs for each in PERMISSIONS if "nodes" in each.resources]
    assert nodes == [("get",)]
    assert verbs & {"escalate", "bind", "impersonate", "deletecollection"} == set()


def test_the_role_has_the_rules_of_the_table() -> None:
    rules = by_kind(text_of(SERVICE_ACCOUNT))["ClusterRole"]["rules"]
    rights = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    assert rights == {right for each in PERMISSIONS for right in each.rights}


@pytest.mark.parametrize(
    ("option", "kind", "condition"),
    [
        ("--identity", "User", f"request.userInfo.username == '{OBJECT_ID}'"),
        (
            "--group",
            "Group",
            f"request.userInfo.groups.exists(group, group == '{OBJECT_ID}')",
        ),
    ],
)
def test_rights_are_printed_for_who_entra_knows(
    option: str, kind: str, condition: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([option, OBJECT_ID])

    text = capsys.readouterr().out
    found = by_kind(text)
    policies = {
        each["metadata"]["name"]: each
        for each in yaml.safe_load_all(text)
        if each["kind"] == "ValidatingAdmissionPolicy"
    }
    assert "ServiceAccount" not in found
    (subject,) = found["ClusterRoleBinding"]["subjects"]
    assert (subject["kind"], subject["name"]) == (kind, OBJECT_ID)
    (match,) = found["ValidatingAdmissionPolicy"]["spec"]["matchConditions"]
    assert match["expression"] == condition
    others = policies["factory-runtime-namespaces"]["spec"]["matchConditions"]
    assert others[0]["expression"] == f"!({condition})"


def test_who_reads_gets_no_other_verb(capsys: pytest.CaptureFixture[str]) -> None:
    other = OBJECT_ID.replace("7", "8")
    main(["--identity", OBJECT_ID, "--reader", other])

    roles = {
        (each["kind"], each["metadata"]["name"]): each
        for each in yaml.safe_load_all(capsys.readouterr().out)
    }
    rules = roles["ClusterRole", "factory-runtime-reader"]["rules"]
    (subject,) = roles["ClusterRoleBinding", "factory-runtime-reader"]["subjects"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert subject["name"] == other
    with pytest.raises(SystemExit):
        main(["--reader", other])


def test_who_tries_isolation_has_jobs_beside_and_is_held_to_the_same_places(
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = OBJECT_ID.replace("7", "8")
    main(["--identity", OBJECT_ID, "--prover", other])

    text = capsys.readouterr().out
    roles = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(text)}
    writes = {
        (resource, verb)
        for rule in roles["ClusterRole", "factory-runtime-prover"]["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in {"get", "list", "watch"}
    }
    assert writes == {("jobs", "create"), ("jobs", "delete"), ("pods", "create")}
    (match,) = by_kind(text)["ValidatingAdmissionPolicy"]["spec"]["matchConditions"]
    assert match["expression"] == " || ".join(
        f"request.userInfo.username == '{each}'" for each in (OBJECT_ID, other)
    )


@pytest.mark.parametrize("text", ["", "x", "' || true", OBJECT_ID + "\n"])
def test_what_is_no_object_id_gets_no_rights(text: str) -> None:
    with pytest.raises(SystemExit):
        main(["--identity", text])


ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes"
APPLY = {"content-type": "application/apply-patch+yaml"}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "rights"),
    [
        ("GET", "/version", "", {}, set()),
        ("GET", "/apis/apps/v1", "", {}, set()),
        ("GET", "/api/v1/namespaces", "limit=5", {}, {("", "namespaces", "list")}),
        ("GET", "/api/v1/namespaces/shop", "", {}, {("", "namespaces", "get")}),
        ("GET", "/api/v1/namespaces/a/status", "", {}, {("", "namespaces/status", "get")}),
        ("DELETE", "/api/v1/namespaces/shop", "", {}, {("", "namespaces", "delete")}),
        ("GET", "/api/v1/pods", "watch=true", {}, {("", "pods", "watch")}),
        ("GET", "/api/v1/namespaces/a/pods/b/log", "", {}, {("", "pods/log", "get")}),
        ("GET", "/api/v1/namespaces/a/pods/b/proxy/x/y", "", {}, {("", "pods/proxy", "get")}),
        ("PUT", "/api/v1/namespaces/a/configmaps/b", "", {}, {("", "configmaps", "update")}),
        ("POST", "/apis/batch/v1/namespaces/a/jobs", "", {}, {("batch", "jobs", "create")}),
        (
            "DELETE",
            ROUTE,
            "",
            {},
            {("gateway.networking.k8s.io", "httproutes", "deletecollection")},
        ),
        (
            "PATCH",
            f"{ROUTE}/r",
            "",
            APPLY,
            {("gateway.networking.k8s.io", "httproutes", verb) for verb in ("patch", "create")},
        ),
    ],
)
def test_a_request_needs_its_rights(
    method: str, path: str, query: str, headers: dict[str, str], rights: set[tuple[str, str, str]]
) -> None:
    assert rights_of(method, path, query, headers) == rights
