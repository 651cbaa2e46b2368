"""The objects of a revision: a Deployment, and what it owns.

That is a Service, a disruption budget, and what its pods are given: a ConfigMap, a
SecretProviderClass, and an account to follow their configuration with. What runs to its end is a
Job or a CronJob instead, and owns what its pods are given. Each of these is the revision: while it
is there the revision is wanted, and with it the cluster removes the others. Its pods carry the spec
too, so a revision that drains is still known.
"""

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from shared.kernel.errors import Invalid, TooLarge
from shared.surfaces.aks import jobs
from shared.surfaces.aks.boundary_objects import ACCOUNTS
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.config_maps import data_of
from shared.surfaces.aks.kinds import (
    BUDGETS,
    CONFIG_MAPS,
    CRON_JOBS,
    DEPLOYMENTS,
    JOBS,
    SERVICES,
    Kind,
)
from shared.surfaces.aks.names import (
    ENVIRONMENT_ID,
    PREFIX,
    SPEC,
    USES_IDENTITY,
    Installation,
    digest_of,
    revision_name,
)
from shared.surfaces.aks.platform_access import PlatformAccess, account_of
from shared.surfaces.aks.pods import WORKER_READY_S, pod_spec
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.aks.secret_classes import CLASSES
from shared.surfaces.spec import RevisionSpec

SPEC_BYTES_MAX: Final = 64 * 1024
"""The API server takes 256 KiB of annotations, and each pod carries this one."""
SERVICE_PORT: Final = 80
_LATER: Final = ("configuration", "secrets", "runs_once", "schedule")
"""Fields that are left out where they have no value: pods of before they were known stay as they
are, as do those of a spec without them."""
WORKLOADS: Final = (DEPLOYMENTS, JOBS, CRON_JOBS)
"""What a revision is, by how it runs."""
_SPECS: TypeAdapter[RevisionSpec] = TypeAdapter(RevisionSpec)


def written(spec: RevisionSpec) -> str:
    """Return the annotation of *spec*; scaling does not change it, as it would replace the pods.

    Raises:
        TooLarge: it has more than `SPEC_BYTES_MAX`.
    """
    named = spec.configuration and replace(spec.configuration, texts=None)
    value = _SPECS.dump_python(replace(spec, replicas=0, configuration=named), mode="json")
    value = {name: each for name, each in value.items() if each or name not in _LATER}
    text = json.dumps(value, sort_keys=True)
    if len(text.encode()) > SPEC_BYTES_MAX:
        raise TooLarge(
            f"the spec of {spec.component.module} has more than {SPEC_BYTES_MAX} bytes,"
            " which an object of the cluster cannot carry",
            target="/environ",
        )
    return text


def read(text: str | None, replicas: int, owner: str) -> RevisionSpec:
    """Return the spec in the annotation of *owner*, with the number of *replicas*.

    Raises:
        Unreadable: it is not what the platform wrote.
    """
    try:
        return replace(_parsed(text or ""), replicas=replicas)
    except (ValidationError, Invalid) as damaged:
        raise Unreadable(f"{owner} has no readable spec in {SPEC}") from damaged


@lru_cache(maxsize=4096)
def _parsed(text: str) -> RevisionSpec:
    """Return the spec in *text*; each is read again and again, by every inventory."""
    return _SPECS.validate_json(text)


def kind_of(spec: RevisionSpec) -> Kind:
    if spec.runs_once is not None:
        return JOBS
    return DEPLOYMENTS if spec.schedule is None else CRON_JOBS


def template_of(workload: Object) -> Object:
    """Return the template of the pods of a Deployment, Job or CronJob."""
    spec = workload["spec"]
    template: Object = (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]
    return template


def workload(
    spec: RevisionSpec,
    installation: Installation,
    account: str | None = None,
    access: PlatformAccess | None = None,
) -> Object:
    """Return the Deployment, Job or CronJob, whose pods act as the ServiceAccount *account*.

    Or, with *access*, as that of their revision.
    """
    if spec.runs_once is None and spec.schedule is None:
        return deployment(spec, installation, account, access)
    template = _template(spec, installation, account, access)
    if spec.schedule is None:
        head = head_of(JOBS, spec, installation)
        return {**head, "spec": jobs.job_spec(spec, template)}
    head = head_of(CRON_JOBS, spec, installation)
    return {**head, "spec": jobs.cron_job_spec(spec, spec.schedule.cron, template)}


def deployment(
    spec: RevisionSpec,
    installation: Installation,
    account: str | None = None,
    access: PlatformAccess | None = None,
) -> Object:
    """Return the Deployment; its pods act as the identity of the ServiceAccount *account*."""
    return {
        **head_of(DEPLOYMENTS, spec, installation),
        "spec": {
            "replicas": spec.replicas,
            # Another revision is another Deployment, so this one never has a history.
            "revisionHistoryLimit": 1,
            "minReadySeconds": WORKER_READY_S if spec.port is None else 0,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "selector": {"matchLabels": installation.of_revision(spec.component, spec.revision)},
            "template": _template(spec, installation, account, access),
        },
    }


def _template(
    spec: RevisionSpec,
    installation: Installation,
    account: str | None,
    access: PlatformAccess | None,
) -> Object:
    labels = installation.of_revision(spec.component, spec.revision)
    identity = {ENVIRONMENT_ID: spec.component.environment, SPEC: written(spec)}
    prefix = {} if spec.path_prefix is None else {PREFIX: digest_of(spec.path_prefix)}
    acts = {} if account is None else {USES_IDENTITY: "true"}
    pods = pod_spec(spec, labels, access)
    if account is not None:
        pods["serviceAccountName"] = account
    return {
        "metadata": {"labels": labels | prefix | acts, "annotations": identity},
        "spec": pods,
    }


def dependent_kinds(spec: RevisionSpec, access: PlatformAccess | None = None) -> tuple[Kind, ...]:
    """Return the kinds of what the workload of *spec* owns, as they are made."""
    # Pods wait for their account, their configuration and their secrets.
    followed = (ACCOUNTS,) if access is not None else ()
    configured = (CONFIG_MAPS,) if spec.configuration is not None else ()
    given = (*followed, *configured, *((CLASSES,) if spec.secrets else ()))
    if spec.ends:
        return given
    return (*given, BUDGETS, *((SERVICES,) if spec.port is not None else ()))


def dependent_name(kind: Kind, spec: RevisionSpec) -> str:
    """Return the name of what the workload of *spec* owns of a *kind*."""
    name = revision_name(spec.component, spec.revision)
    return account_of(spec) if kind is ACCOUNTS else name


def dependents(
    spec: RevisionSpec,
    installation: Installation,
    owner: Object,
    secret_class: Object | None = None,
    access: PlatformAccess | None = None,
) -> list[tuple[Kind, Object]]:
    """Return the objects that go with *owner*, the workload of *spec*.

    *secret_class* is the spec of a SecretProviderClass.
    """
    labels = installation.of_revision(spec.component, spec.revision)
    heads = {kind: head_of(kind, spec, installation) for kind in dependent_kinds(spec, access)}
    for kind, head in heads.items():
        head["metadata"]["name"] = dependent_name(kind, spec)
        head["metadata"]["ownerReferences"] = [reference_to(owner, kind_of(spec))]
    port = {"port": SERVICE_PORT, "targetPort": spec.port, "protocol": "TCP"}
    bodies: dict[Kind, Object] = {
        ACCOUNTS: {"automountServiceAccountToken": False},
        CONFIG_MAPS: {"immutable": True, "data": dict(data_of(spec))},
        CLASSES: {"spec": secret_class},
        BUDGETS: {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}}},
        SERVICES: {"spec": {"selector": labels, "ports": [port]}},
    }
    return [(kind, {**head, **bodies[kind]}) for kind, head in heads.items()]


def reference_to(owner: Object, kind: Kind = DEPLOYMENTS) -> Object:
    """Return the reference by which an object goes with *owner*, of *kind*."""
    metadata = owner["metadata"]
    return {
        "apiVersion": kind.version,
        "kind": kind.name,
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def head_of(kind: Kind, spec: RevisionSpec, installation: Installation) -> dict[str, Any]:
    """Return the kind, name and labels of an object of the revision of *spec*."""
    component = spec.component
    labels = installation.of_revision(component, spec.revision)
    if spec.path_prefix is not None:
        labels |= {PREFIX: digest_of(spec.path_prefix)}
    return {
        "apiVersion": kind.version,
        "kind": kind.name,
        "metadata": {
            "name": revision_name(component, spec.revision),
            "namespace": installation.namespace(component.environment, component.tenant),
            "labels": labels,
            "annotations": {ENVIRONMENT_ID: component.environment},
        },
    }
