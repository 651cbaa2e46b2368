"""Writes the manifests of the platform's rights in a cluster, from the table of what it does there.

    python -m tools.kubernetes_rbac   # writes deploy/kubernetes, for a ServiceAccount
    python -m tools.kubernetes_rbac --identity OBJECT_ID --reader OBJECT_ID --prover OBJECT_ID
    python -m tools.kubernetes_rbac --group OBJECT_ID

The others print them for identities or a group of Entra ID: of deployments, which writes, of apps
that only read, and of tenants, which tries isolation from inside. A ClusterRole says what it may
do, an admission policy that it writes in its own namespaces only, another that nobody else makes or
labels a namespace as its own.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from cli.state_folder import REPOSITORY
from shared.surfaces.aks.permissions import LABEL, PERMISSIONS, POD_SECURITY, PROVES, READ

FOLDER: Final = REPOSITORY / "deploy" / "kubernetes"
NAME: Final = "factory-runtime"
_LEVELS: Final = " or ".join(POD_SECURITY[1])
_LABELS: Final = {"app.kubernetes.io/name": NAME}
Manifest = Mapping[str, Any]
Right = tuple[str, str, str]


@dataclass(frozen=True)
class Subject:
    """Who the platform is to the cluster: as a binding names it, and as requests show it (CEL)."""

    entry: Mapping[str, str]
    condition: str


SERVICE_ACCOUNT: Final = Subject(
    {"kind": "ServiceAccount", "name": NAME, "namespace": NAME},
    f"request.userInfo.username == 'system:serviceaccount:{NAME}:{NAME}'",
)


def of_entra(kind: str, object_id: str) -> Subject:
    """Return the subject of a `User`, an identity, or of a `Group` of Entra ID."""
    of_request = "username ==" if kind == "User" else "groups.exists(group, group =="
    condition = f"request.userInfo.{of_request} '{object_id}'"
    entry = {"kind": kind, "name": object_id, "apiGroup": "rbac.authorization.k8s.io"}
    return Subject(entry, condition if kind == "User" else f"{condition})")


def manifests(
    subject: Subject, readers: Sequence[str] = (), provers: Sequence[str] = ()
) -> Iterator[Manifest]:
    """Yield what to apply, in the order in which it can be.

    *readers* are the object ids of identities that read what *subject* may write, *provers* of
    those that have Jobs beside, and pods in dry runs, held to the places of *subject*, too.
    """
    yield _namespace()
    if subject == SERVICE_ACCOUNT:
        yield _object("v1", "ServiceAccount", namespace=NAME)
    yield from _role(NAME, _rules(_any), [subject])
    for name, ids, is_given in (("reader", readers, _reads), ("prover", provers, _proves)):
        if ids:
            subjects = [of_entra("User", each) for each in ids]
            yield from _role(f"{NAME}-{name}", _rules(is_given), subjects)
    yield from _confinement([subject, *(of_entra("User", each) for each in provers)])
    yield from _ownership(subject)


def _role(
    name: str, rules: Iterable[Mapping[str, Any]], subjects: Iterable[Subject]
) -> Iterator[Manifest]:
    rbac = "rbac.authorization.k8s.io"
    yield {**_object(f"{rbac}/v1", "ClusterRole", name=name), "rules": [*rules]}
    yield {
        **_object(f"{rbac}/v1", "ClusterRoleBinding", name=name),
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
        "subjects": [dict(each.entry) for each in subjects],
    }


def _namespace() -> Manifest:
    """Return the namespace of the platform itself, in which it keeps its records."""
    namespace = _object("v1", "Namespace")
    own = {LABEL[0]: LABEL[1], POD_SECURITY[0]: POD_SECURITY[1][0]}
    labels = {**namespace["metadata"]["labels"], **own}
    return {**namespace, "metadata": {**namespace["metadata"], "labels": labels}}


def _any(_: Right) -> bool:
    return True


def _reads(right: Right) -> bool:
    return right[2] in READ


def _proves(right: Right) -> bool:
    return _reads(right) or right in PROVES


def _rules(is_given: Callable[[Right], bool]) -> Iterator[Mapping[str, Any]]:
    """Yield the rules of the table, with those verbs that are given on each of the resources."""
    for each in PERMISSIONS:
        kept = [
            verb
            for verb in each.verbs
            if all(is_given((each.group, resource, verb)) for resource in each.resources)
        ]
        if kept:
            yield {"apiGroups": [each.group], "resources": [*each.resources], "verbs": kept}


def _confinement(subjects: Sequence[Subject]) -> Iterator[Manifest]:
    """Yield the policy that the platform writes only where the label says that it may."""
    everything = {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["*/*"],
        "scope": "*",
    }
    where = "the platform writes in namespaces with the label"
    validations = [
        _labelled(LABEL[0], (LABEL[1],), f"{where} {'='.join(LABEL)} only"),
        _labelled(*POD_SECURITY, f"{where} {POD_SECURITY[0]} of {_LEVELS} only"),
        {
            "expression": "request.resource.group != '' || request.resource.resource != 'pods'"
            " || request.operation != 'CREATE' || request.dryRun",
            "message": "the platform makes pods in dry runs only: Deployments and Jobs make others",
            "reason": "Forbidden",
        },
    ]
    variables = [
        # A namespace is its own place, before the change and after it.
        {
            "name": "places",
            "expression": "request.resource.resource != 'namespaces' ? [namespaceObject]"
            " : request.operation == 'CREATE' ? [object]"
            " : request.operation == 'DELETE' ? [oldObject] : [object, oldObject]",
        },
    ]
    conditions = {"by-the-platform": " || ".join(each.condition for each in subjects)}
    yield from _policy(NAME, everything, conditions, variables, validations)


def _ownership(subject: Subject) -> Iterator[Manifest]:
    """Yield the policy that others neither make nor label namespaces as the platform does.

    Who may change this policy may do that too: an administrator, who gives it a namespace.
    """
    namespaces = {
        "apiGroups": [""],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["namespaces", "namespaces/*"],
        "scope": "*",
    }
    admission = "admissionregistration.k8s.io"
    conditions = {
        "by-others": f"!({subject.condition})",
        "by-no-administrator": f"!authorizer.group('{admission}')"
        ".resource('validatingadmissionpolicies').check('update').allowed()",
    }
    variables = [
        {"name": name, "expression": _labels_of_ours(state)}
        for name, state in (("now", "object"), ("before", "oldObject"))
    ]
    validations = [
        {
            "expression": "variables.now.all(label, label in variables.before)"
            " && variables.before.all(label, label in variables.now)",
            "message": f"only {NAME} and administrators label a namespace as {NAME} does",
            "reason": "Forbidden",
        },
        {
            "expression": f"oldObject != null || !object.metadata.name.startsWith('{NAME}-')",
            "message": f"only {NAME} and administrators make a namespace {NAME}-...",
            "reason": "Forbidden",
        },
    ]
    yield from _policy(f"{NAME}-namespaces", namespaces, conditions, variables, validations)


def _labels_of_ours(state: str) -> str:
    """Return what lists the platform's labels of *state*, each as `name=value`, in CEL."""
    labels = f"{state}.metadata.?labels.orValue({{}})"
    is_ours = (
        f"name.startsWith('{NAME}/') || name == '{LABEL[0]}' && {labels}[name] == '{LABEL[1]}'"
    )
    listed = f"{labels}.map(name, {is_ours}, name + '=' + {labels}[name])"
    return f"{state} == null ? [] : {listed}"


def _policy(
    name: str,
    rule: Mapping[str, Any],
    conditions: Mapping[str, str],
    variables: Sequence[Mapping[str, str]],
    validations: Sequence[Mapping[str, str]],
) -> Iterator[Manifest]:
    """Yield an admission policy that refuses what fails *validations* where *conditions* hold."""
    admission = "admissionregistration.k8s.io/v1"
    yield {
        **_object(admission, "ValidatingAdmissionPolicy", name=name),
        "spec": {
            "failurePolicy": "Fail",
            # With all that a server would add: it is one value to server-side apply.
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [rule],
            },
            "matchConditions": [
                {"name": each, "expression": expression} for each, expression in conditions.items()
            ],
            "variables": [*variables],
            "validations": [*validations],
        },
    }
    yield {
        **_object(admission, "ValidatingAdmissionPolicyBinding", name=name),
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }


def _labelled(name: str, values: Sequence[str], message: str) -> Mapping[str, str]:
    """Return the rule that each place of a write has the label *name* with one of *values*."""
    return {
        "expression": "variables.places.all(place, place != null && has(place.metadata.labels)"
        f" && place.metadata.labels[?'{name}'].orValue('') in {[*values]})",
        "message": message,
        "reason": "Forbidden",
    }


def _object(version: str, kind: str, *, name: str = NAME, **place: str) -> Manifest:
    metadata = {"name": name, **place, "labels": dict(_LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def text_of(subject: Subject, readers: Sequence[str] = (), provers: Sequence[str] = ()) -> str:
    """Return the manifests as one YAML text."""
    return yaml.safe_dump_all(manifests(subject, readers, provers), sort_keys=False, width=100)


def _object_id(text: str) -> str:
    """Return *text*, which stands in an expression of the policy."""
    if re.fullmatch(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is None:
        raise argparse.ArgumentTypeError("expected the object id: az ad sp show --query id")
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Write or print the manifests."""
    parser = argparse.ArgumentParser(prog="python -m tools.kubernetes_rbac")
    subjects = parser.add_mutually_exclusive_group()
    for name, of in (("--identity", "a managed identity"), ("--group", "a group")):
        subjects.add_argument(name, type=_object_id, metavar="OBJECT_ID", help=f"{of} of Entra ID")
    for name, does in (("--reader", "only read"), ("--prover", "try isolation from inside")):
        parser.add_argument(
            name, type=_object_id, metavar="OBJECT_ID", nargs="+", default=(),
            help=f"managed identities of Entra ID that {does}",
        )  # fmt: skip
    given = parser.parse_args(arguments)
    if given.identity or given.group:
        kind = "User" if given.identity else "Group"
        subject = of_entra(kind, given.identity or given.group)
        print(text_of(subject, given.reader, given.prover), end="")
    elif given.reader or given.prover:
        parser.error("--reader and --prover are beside --identity or --group")
    else:
        path: Path = FOLDER / "rbac.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(SERVICE_ACCOUNT), encoding="utf-8")


if __name__ == "__main__":
    main()
