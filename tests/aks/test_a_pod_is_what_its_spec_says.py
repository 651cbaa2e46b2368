"""What the kubelet is told: the spec, no more rights than it needs, and time to drain."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.errors import TooLarge
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.pods import pod_spec
from shared.surfaces.aks.revisions import SPEC_BYTES_MAX, deployment, read, written
from shared.surfaces.configuration import configuration
from shared.surfaces.spec import CommandProbe, HttpProbe, Probe, Resources, TcpProbe
from tests.surfaces.harness import TEMPLATE

SPEC = replace(TEMPLATE, image="registry.example/shop", command=("serve", "--port=$PORT"))


def container(**changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = pod_spec(replace(SPEC, **changes), {})["containers"][0]
    return spec


def test_our_variables_are_filled_in_and_every_other_dollar_is_the_workloads() -> None:
    made = container(
        command=("serve", "--port=$PORT", "$(HOME)", "$OTHER"),
        environ={"A": "$TMPDIR/x", "B": "$(A)"},
    )

    environ = {each["name"]: each.get("value") for each in made["env"]}
    assert made["command"] == ["serve", "--port=8080", "$$(HOME)", "$$OTHER"]
    assert environ["A"] == "/tmp/x"
    assert environ["B"] == "$$(A)"
    assert environ["PORT"] == "8080"
    assert environ["RUNTIME_UNIT"] == '{"configurationHash": "c0ffee"}'


def test_an_image_may_have_its_own_command() -> None:
    assert "command" not in container(command=())


def test_a_pod_has_no_right_that_it_was_not_given() -> None:
    pod = pod_spec(SPEC, {})

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_pod_stays_for_its_drain_before_it_is_told_to_stop() -> None:
    pod = pod_spec(replace(SPEC, drain_s=0.3, grace_s=2), {})

    assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 1}}}
    assert pod["terminationGracePeriodSeconds"] == 3


def test_limits_are_requested_too() -> None:
    resources = container(resources=Resources(memory_mb=64, cpu=0.25))["resources"]

    assert resources == {
        "limits": {"memory": "64Mi", "cpu": "250m"},
        "requests": {"memory": "64Mi", "cpu": "250m"},
    }


@pytest.mark.parametrize(
    ("probe", "question"),
    [
        pytest.param(HttpProbe("/up"), {"httpGet": {"path": "/up", "port": 8080}}, id="http"),
        pytest.param(TcpProbe(), {"tcpSocket": {"port": 8080}}, id="tcp"),
        pytest.param(CommandProbe(("check",)), {"exec": {"command": ["check"]}}, id="command"),
    ],
)
def test_every_kind_of_probe_is_asked(probe: Probe, question: dict[str, Any]) -> None:
    made = container(readiness=probe, liveness=probe, startup=probe)

    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert question.items() <= made[name].items()
        assert made[name]["failureThreshold"] == 3


def test_without_a_probe_a_pod_is_ready_when_its_port_takes_connections() -> None:
    assert container(readiness=None)["readinessProbe"]["tcpSocket"] == {"port": 8080}
    assert "readinessProbe" not in container(readiness=None, port=None)


def test_the_applied_spec_is_read_back_with_the_replicas_of_now() -> None:
    spec = replace(
        SPEC, readiness=TcpProbe(period_s=2), liveness=HttpProbe("/live"),
        startup=CommandProbe(("check",)), resources=Resources(memory_mb=1),
    )  # fmt: skip

    assert read(written(spec), 7, "it") == replace(spec, replicas=7)
    assert written(spec) == written(replace(spec, replicas=9))


def test_what_a_spec_is_not_given_changes_no_pod_of_before() -> None:
    assert json.loads(written(TEMPLATE)).keys() & {"configuration", "secrets"} == set()


def test_a_spec_is_carried_without_the_texts_of_its_configuration() -> None:
    asked = configuration("c0ffee", variables={"MODE": "x" * SPEC_BYTES_MAX}, files={".env": "y"})
    spec = replace(TEMPLATE, configuration=asked)

    carried = read(written(spec), spec.replicas, "a pod")

    assert carried == spec
    assert carried.configuration is not None
    assert carried.configuration.texts is None


def test_a_spec_that_no_object_can_carry_is_refused() -> None:
    with pytest.raises(TooLarge, match=str(SPEC_BYTES_MAX)):
        deployment(replace(SPEC, environ={"A": "x" * SPEC_BYTES_MAX}), Installation())
