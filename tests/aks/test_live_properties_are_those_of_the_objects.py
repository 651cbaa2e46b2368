"""Live properties are what the cluster has: neither what the platform remembers, nor defaults."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.ids import TenantId
from shared.surfaces.aks import routes
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.live_properties import live_properties
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.observation import ComponentObjects
from shared.surfaces.aks.revisions import deployment
from shared.surfaces.aks.scalers import Bounds, bounds_by_deployment, scaler
from shared.surfaces.properties import Difference, Plane, differences, revision_properties
from shared.surfaces.scaling import (
    EventRule,
    Measure,
    ReplicasOwner,
    ScalingRule,
    ScalingRules,
    UtilizationRule,
)
from shared.surfaces.spec import CommandProbe, HttpProbe, Resources, RevisionSpec, TcpProbe
from tests.surfaces.harness import TEMPLATE

SPEC = replace(
    TEMPLATE,
    image="registry.example/shop",
    command=("serve", "--port=$PORT", "$(HOME)"),
    environ={"AT": "$HOME", "MODE": "fast"},
    liveness=TcpProbe(period_s=5),
    startup=CommandProbe(("check", "$PORT")),
    readiness=HttpProbe("/ready", period_s=2),
    resources=Resources(memory_mb=1024, cpu=0.25),
    unit={"configurationHash": "c0ffee", "secret.database": "v3"},
)
INSTALLATION = Installation()
Edit = Callable[[dict[str, Any]], None]


def made(spec: RevisionSpec = SPEC) -> Object:
    return deployment(spec, INSTALLATION)


def main(found: Object) -> dict[str, Any]:
    container: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return container


def pods(found: Object) -> dict[str, Any]:
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def variable(found: Object, name: str) -> dict[str, Any]:
    return next(each for each in main(found)["env"] if each["name"] == name)


def seen(
    found: Object,
    *,
    spec: RevisionSpec = SPEC,
    weights: Mapping[int, int] | None = None,
    route: Object | None = None,
    bounds: Mapping[str, Bounds] | None = None,
) -> tuple[Difference, ...]:
    """Return the differences of the Deployment *found* from *spec* with all requests."""
    split = {1: 100} if weights is None else weights
    made_route = routes.route(INSTALLATION, spec.component, TenantId("acme"), split, [spec])
    objects = ComponentObjects(
        spec.component, (found,), (), None, made_route if route is None else route, True
    )
    (properties,) = live_properties(objects, bounds or {}).values()
    return differences(revision_properties(spec, weight=100), properties)


def defaulted(found: Object) -> None:
    """Fill in what an API server does."""
    container = main(found)
    container |= {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/log"}
    container["readinessProbe"]["httpGet"]["scheme"] = "HTTP"
    container["resources"]["limits"]["memory"] = "1Gi"
    del container["startupProbe"]["initialDelaySeconds"]
    found["spec"]["progressDeadlineSeconds"] = 600


def placed(found: Object) -> None:
    """Add what says where pods go and who finds them."""
    template = found["spec"]["template"]
    template["metadata"]["labels"]["injected"] = "yes"
    template["spec"]["tolerations"] = [{"operator": "Exists"}]


@pytest.mark.parametrize("change", [defaulted, placed])
def test_what_the_cluster_fills_in_is_no_difference(change: Edit) -> None:
    found = made()

    change(found)

    assert seen(found) == ()


def limits(found: Object) -> dict[str, Any]:
    given: dict[str, Any] = main(found)["resources"]["limits"]
    return given


@pytest.mark.parametrize(
    ("edit", "plane", "path", "actual"),
    [
        pytest.param(
            lambda d: main(d).update(image="nginx:latest"),
            Plane.WORKLOAD, "image", "nginx:latest", id="image",
        ),
        pytest.param(
            lambda d: main(d).update(args=["--debug"]),
            Plane.WORKLOAD, "command", '["serve", "--port=8080", "$(HOME)", "--debug"]',
            id="arguments",
        ),
        pytest.param(
            lambda d: main(d).pop("command"), Plane.WORKLOAD, "command", None, id="no-command"
        ),
        pytest.param(
            lambda d: variable(d, "AT").update(value="/elsewhere"),
            Plane.WORKLOAD, "environ/AT", "/elsewhere", id="environ",
        ),
        pytest.param(
            lambda d: main(d)["env"].append({"name": "NEW", "value": "1"}),
            Plane.WORKLOAD, "environ/NEW", "1", id="new-variable",
        ),
        pytest.param(
            lambda d: main(d)["env"].remove(variable(d, "MODE")),
            Plane.WORKLOAD, "environ/MODE", None, id="no-variable",
        ),
        pytest.param(
            lambda d: variable(d, "RUNTIME_TENANT_ID").update(value="other"),
            Plane.WORKLOAD, "environ/RUNTIME_TENANT_ID", "other", id="a-variable-of-ours",
        ),
        pytest.param(
            lambda d: main(d)["env"].remove(variable(d, "HOME")),
            Plane.WORKLOAD, "environ/HOME", "", id="no-variable-of-ours",
        ),
        pytest.param(
            lambda d: variable(d, "MODE").update(valueFrom={"secretKeyRef": {"key": "a"}}),
            Plane.WORKLOAD, "environ/MODE", '{"secretKeyRef": {"key": "a"}}', id="from-a-secret",
        ),
        pytest.param(
            lambda d: variable(d, "RUNTIME_VERSION").update(value="9"),
            Plane.WORKLOAD, "version", "9", id="version",
        ),
        pytest.param(
            lambda d: pods(d)["containers"].append({"name": "proxy", "image": "mesh:1"}),
            Plane.WORKLOAD, "containers/proxy", "mesh:1", id="a-sidecar",
        ),
        pytest.param(
            lambda d: main(d).update(envFrom=[{"secretRef": {"name": "a"}}]),
            Plane.WORKLOAD, "envFrom", '[{"secretRef": {"name": "a"}}]', id="variables-of-a-secret",
        ),
        pytest.param(
            lambda d: main(d)["securityContext"].update(allowPrivilegeEscalation=True),
            Plane.WORKLOAD, "security/allowPrivilegeEscalation", "true", id="a-right",
        ),
        pytest.param(
            lambda d: pods(d).update(hostNetwork=True),
            Plane.WORKLOAD, "hostNetwork", "true", id="the-network-of-its-node",
        ),
        pytest.param(
            lambda d: pods(d).update(terminationGracePeriodSeconds=31),
            Plane.WORKLOAD, "graceS", "30", id="grace",
        ),
        pytest.param(
            lambda d: main(d)["ports"][0].update(containerPort=9),
            Plane.WORKLOAD, "port", "9", id="port",
        ),
        pytest.param(
            lambda d: main(d)["readinessProbe"]["httpGet"].update(path="/"),
            Plane.WORKLOAD, "probes/readiness",
            "GET / every 2 s after 0 s, within 5 s; 3 failures, 1 ok", id="probe",
        ),
        pytest.param(
            lambda d: main(d).pop("livenessProbe"),
            Plane.WORKLOAD, "probes/liveness", None, id="no-probe",
        ),
        pytest.param(
            lambda d: main(d).update(livenessProbe={"grpc": {"port": 1}}),
            Plane.WORKLOAD, "probes/liveness",
            '{"failureThreshold": 3, "grpc": {"port": 1}, "initialDelaySeconds": 0,'
            ' "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1}',
            id="another-kind-of-probe",
        ),
        pytest.param(
            lambda d: main(d)["livenessProbe"]["tcpSocket"].update(port=22),
            Plane.WORKLOAD, "probes/liveness",
            '{"failureThreshold": 3, "initialDelaySeconds": 0, "periodSeconds": 5,'
            ' "successThreshold": 1, "tcpSocket": {"port": 22}, "timeoutSeconds": 5}',
            id="a-probe-of-another-port",
        ),
        pytest.param(
            lambda d: limits(d).update(memory="2Gi"),
            Plane.WORKLOAD, "resources/memoryMib", "2048", id="memory",
        ),
        pytest.param(
            lambda d: limits(d).pop("cpu"), Plane.WORKLOAD, "resources/cpu", None, id="no-limit"
        ),
        pytest.param(
            lambda d: d["spec"].update(replicas=7), Plane.REPLICAS, "replicas", "7", id="replicas"
        ),
        pytest.param(
            lambda d: variable(d, "RUNTIME_UNIT").update(value='{"secret.database": "v3"}'),
            Plane.CONFIGURATION, "hash", None, id="configuration",
        ),
        pytest.param(
            lambda d: variable(d, "RUNTIME_UNIT").update(
                value='{"configurationHash": "c0ffee", "secret.database": "v2"}'
            ),
            Plane.SECRETS, "database", "v2", id="secret-version",
        ),
    ],
)  # fmt: skip
def test_a_change_is_seen_as_its_path_with_the_live_value(
    edit: Edit, plane: Plane, path: str, actual: str | None
) -> None:
    found = made()

    edit(found)

    (difference,) = seen(found)
    assert (difference.plane, difference.path, difference.actual) == (plane, path, actual)


OURS = {"manager": "factory-runtime", "operation": "Apply", "fieldsV1": {}}


def set_by(manager: str, pod: dict[str, Any]) -> dict[str, Any]:
    fields = {"f:spec": {"f:template": {"f:spec": pod}}}
    return {"manager": manager, "operation": "Update", "fieldsV1": fields}


def of_main(fields: dict[str, Any]) -> dict[str, Any]:
    return {"f:containers": {'k:{"name":"main"}': {".": {}, **fields}}}


ADDITIONS = [
    pytest.param(
        lambda d: main(d)["env"].append({"name": "NEW", "value": "1"}),
        of_main({"f:env": {'k:{"name":"NEW"}': {".": {}, "f:name": {}, "f:value": {}}}}),
        id="a-variable",
    ),
    pytest.param(
        lambda d: main(d)["volumeMounts"].append({"name": "home", "mountPath": "/certificates"}),
        of_main({"f:volumeMounts": {'k:{"mountPath":"/certificates"}': {".": {}}}}),
        id="a-mount",
    ),
    pytest.param(
        lambda d: limits(d).update({"ephemeral-storage": "1Gi"}),
        of_main({"f:resources": {"f:limits": {"f:ephemeral-storage": {}}}}),
        id="a-limit",
    ),
    pytest.param(
        lambda d: main(d)["resources"]["requests"].update({"ephemeral-storage": "1Gi"}),
        of_main({"f:resources": {"f:requests": {"f:ephemeral-storage": {}}}}),
        id="a-request",
    ),
    pytest.param(
        lambda d: pods(d)["containers"].append({"name": "mesh", "image": "mesh:1"}),
        {"f:containers": {'k:{"name":"mesh"}': {".": {}, "f:image": {}, "f:name": {}}}},
        id="a-sidecar",
    ),
    pytest.param(
        lambda d: pods(d).update(initContainers=[{"name": "first", "image": "mesh:1"}]),
        {"f:initContainers": {".": {}, 'k:{"name":"first"}': {".": {}, "f:image": {}}}},
        id="what-runs-before",
    ),
    pytest.param(
        lambda d: main(d)["securityContext"].update(runAsUser=1234),
        of_main({"f:securityContext": {"f:runAsUser": {}}}),
        id="the-user-of-a-container",
    ),
    pytest.param(
        lambda d: pods(d)["securityContext"].update(fsGroup=1234),
        {"f:securityContext": {"f:fsGroup": {}}},
        id="the-group-of-files",
    ),
]


@pytest.mark.parametrize(("edit", "fields"), ADDITIONS)
def test_what_nobody_set_is_of_admission_and_no_difference(
    edit: Edit, fields: dict[str, Any]
) -> None:
    found = made()
    edit(found)

    found["metadata"]["managedFields"] = [OURS, set_by("kubectl-scale", {})]
    admitted = seen(found)
    found["metadata"]["managedFields"] = [OURS, set_by("kubectl-edit", fields)]
    edited = seen(found)
    found["metadata"]["managedFields"] = [set_by("kubectl-scale", {})]
    unknown = seen(found)

    assert admitted == ()
    assert len(edited) == 1
    assert unknown == edited


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda d: pods(d).update(hostNetwork=True), id="the-network-of-its-node"),
        pytest.param(lambda d: pods(d)["securityContext"].update(runAsUser=0), id="root"),
        pytest.param(lambda d: main(d)["securityContext"].update(privileged=True), id="all-rights"),
        pytest.param(
            lambda d: main(d)["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]),
            id="a-capability",
        ),
        pytest.param(lambda d: pods(d).update(serviceAccountName="admin"), id="an-account"),
        pytest.param(
            lambda d: main(d).update(envFrom=[{"secretRef": {"name": "a"}}]), id="secrets"
        ),
        pytest.param(lambda d: variable(d, "MODE").update(value="slow"), id="another-value"),
        pytest.param(lambda d: limits(d).update(memory="1Mi"), id="a-lower-limit"),
        pytest.param(lambda d: main(d)["env"].remove(variable(d, "MODE")), id="no-variable"),
    ],
)
def test_a_right_or_another_value_is_a_difference_whoever_set_it(edit: Edit) -> None:
    found = made()
    found["metadata"]["managedFields"] = [OURS]

    edit(found)

    assert len(seen(found)) == 1


def test_a_unit_that_is_no_json_is_shown_as_it_is() -> None:
    found = made()
    variable(found, "RUNTIME_UNIT")["value"] = "oops"

    assert {each.path: each.actual for each in seen(found)} == {"hash": "oops", "database": None}


def test_the_probe_that_a_spec_does_not_name_is_missed_when_it_is_gone() -> None:
    spec = replace(SPEC, readiness=None)
    found = made(spec)
    assert seen(found, spec=spec) == ()

    del main(found)["readinessProbe"]

    assert [each.path for each in seen(found, spec=spec)] == ["probes/readiness"]


def test_a_route_that_was_changed_is_seen() -> None:
    route = routes.route(INSTALLATION, SPEC.component, TenantId("acme"), {1: 100}, [SPEC])
    route["spec"]["rules"][0]["matches"][0]["path"]["value"] = "/other"
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 30

    assert seen(made(), route=route) == (
        Difference(Plane.ROUTING, "pathPrefix", "/", "/other"),
        Difference(Plane.ROUTING, "weight", "100", "30"),
    )


def test_a_revision_without_weight_keeps_the_path_of_its_spec() -> None:
    assert seen(made(), weights={}) == (Difference(Plane.ROUTING, "weight", "100", "0"),)


def test_whoever_scales_a_deployment_owns_its_number() -> None:
    target = {"kind": "Deployment", "name": made()["metadata"]["name"]}
    of_keda = {"spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9}}
    scaled = {"spec": {"scaleTargetRef": target, "minReplicaCount": 0, "maxReplicaCount": 9}}

    by_measures = seen(made(), bounds=bounds_by_deployment([of_keda], []))
    by_events = seen(made(), bounds=bounds_by_deployment([of_keda], [scaled]))

    owned = {"owner": ReplicasOwner.SURFACE, "replicas": None, "maximum": "9"}
    assert {each.path: each.actual for each in by_measures} == {**owned, "minimum": "1"}
    assert {each.path: each.actual for each in by_events} == {**owned, "minimum": "0"}


@pytest.mark.parametrize(
    "rules",
    [
        (UtilizationRule(Measure.CPU, 70), UtilizationRule(Measure.MEMORY, 80)),
        (UtilizationRule(Measure.CPU, 70), EventRule("azure-queue", {"queueLength": "5"})),
    ],
    ids=["autoscaler", "scaled-object"],
)
def test_what_a_deployment_is_scaled_by_has_the_words_of_its_rules(
    rules: tuple[ScalingRule, ...],
) -> None:
    asked = ScalingRules(1, 9, rules)
    owner = made()
    owner["metadata"]["uid"] = "uid-1"
    made_of_it = scaler(SPEC, asked, INSTALLATION, owner)
    found = ([made_of_it], []) if not asked.has_events else ([], [made_of_it])

    (bounds,) = bounds_by_deployment(*found).values()

    assert bounds == Bounds(1, 9, asked.words)
