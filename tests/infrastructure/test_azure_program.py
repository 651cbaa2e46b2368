"""What the environment program declares in Azure. Runs where the provider package is installed."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from infra.pulumi.environment.names import Kind, name
from infra.pulumi.environment.settings import DATA_SETTINGS, TARGET_SETTINGS
from local_cloud.infrastructure.child_evaluator import ChildEvaluator
from shared.infrastructure.graph import Graph, Node
from shared.infrastructure.inputs import (
    AZURE_DATA,
    AZURE_TARGETS,
    ISOLATION_MODELS,
    ComputeTargetInput,
    DataResourceInput,
    EnvironmentInputs,
)
from shared.kernel.errors import PlanRefused
from tests.infrastructure.installations import EVALUATOR, STACK, Embedded, inputs
from tests.kit.memory_engine import references

azure = [
    pytest.mark.real,
    pytest.mark.xdist_group("azure-program"),  # one worker, so that equal inputs are evaluated once
    pytest.mark.skipif(
        find_spec("pulumi_azure_native") is None, reason="dependency group azure-infra is absent"
    ),
]
SHAPES: Mapping[Kind, str] = {
    Kind.VAULT: r"[a-z](?:[a-z0-9]|-(?!-)){1,22}[a-z0-9]",
    Kind.STORAGE: r"[a-z0-9]{3,24}",
    Kind.COSMOS: r"[a-z0-9][a-z0-9-]{1,42}[a-z0-9]",
    Kind.SERVICE_BUS: r"[a-z][a-z0-9-]{4,48}(?<!-sb)(?<!-mgmt)[a-z0-9]",
}


def azure_inputs(model: str = "silo", **changed: object) -> EnvironmentInputs:
    given: dict[str, object] = {
        "stage": "prod",
        "region": "westeurope",
        "isolation_model": model,
        "compute_targets": tuple(ComputeTargetInput(kind) for kind in AZURE_TARGETS),
        "data_resources": tuple(
            DataResourceInput(f"my-{kind.lower()}", kind, protected=True) for kind in AZURE_DATA
        ),
        # In every graph: one more would take seconds.
        "tags": {"owner": "shop", "region": "elsewhere"},
    }
    return inputs(**{**given, **changed})


async def graph_of(wanted: EnvironmentInputs) -> Graph:
    return await EVALUATOR.evaluate(STACK, wanted)


def of_type(graph: Graph, ending: str) -> list[Node]:
    return [node for node in graph.nodes if node.type.endswith(ending)]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("environment", ["a", "a-name-of-forty-characters-in-all-0123456"])
@pytest.mark.parametrize("part", ["", "data", "a-data-resource-of-63-characters" + "x" * 31])
def test_every_name_fits_into_azure_whatever_the_environment_is_called(
    kind: Kind, environment: str, part: str
) -> None:
    wanted = azure_inputs(name=environment)

    made = name(kind, wanted, part)

    assert re.fullmatch(SHAPES.get(kind, r"[a-z](?:[a-z0-9-]*[a-z0-9])"), made)
    assert len(made) <= kind.value.length_max
    assert "abcdefghijkl" in made


def test_two_data_resources_with_a_long_beginning_in_common_have_two_names() -> None:
    wanted = azure_inputs()

    first, second = (name(Kind.STORAGE, wanted, "a-long-beginning-" + each) for each in "ab")

    assert first != second


def test_every_kind_says_which_settings_it_takes() -> None:
    assert set(TARGET_SETTINGS) == set(AZURE_TARGETS)
    assert set(DATA_SETTINGS) == set(AZURE_DATA)


class TestEvaluated:
    pytestmark = azure

    @pytest.mark.long
    @pytest.mark.parametrize("model", ISOLATION_MODELS)
    async def test_every_model_declares_the_foundation_and_what_was_asked_for(
        self, model: str
    ) -> None:
        graph = await graph_of(azure_inputs(model))

        for each in (
            "ResourceGroup", "VirtualNetwork", "Workspace", "Vault", "UserAssignedIdentity",
            "ManagedCluster", "ManagedEnvironment", "DatabaseAccount", "StorageAccount",
            "servicebus:Namespace", "dbforpostgresql:Server", ":sql:Server", "RedisEnterprise",
        ):  # fmt: skip
            assert len(of_type(graph, each)) == 1, each
        assert len(of_type(graph, "AppServicePlan")) == 2
        assert [each["kind"] for each in graph.outputs["computeTargets"]] == list(AZURE_TARGETS)

    async def test_everything_that_takes_tags_has_the_platforms(self) -> None:
        graph = await graph_of(azure_inputs())

        tagged = [node for node in graph.nodes if "tags" in node.properties]
        assert len(tagged) > 30
        for node in tagged:
            tags = node.properties["tags"]
            assert tags["owner"] == "shop"
            assert tags["trace_id"] == "trace-1"
            assert tags["provisioned_by"] == "factory-runtime"
            assert tags["environment"] == "test"
            assert tags["region"] == "westeurope"
            assert "tags.trace_id" in node.ignore

    async def test_references_lead_to_declared_resources_before_them(self) -> None:
        graph = await graph_of(azure_inputs())

        seen: set[str] = set()
        for node in graph.nodes:
            named = {found.urn for found in references(node.properties)}
            assert named <= set(node.dependencies) | {node.urn}
            assert set(node.dependencies) <= seen
            seen.add(node.urn)
        assert {found.urn for found in references(graph.outputs)} <= seen

    async def test_outputs_are_named_as_the_provider_names_them(self) -> None:
        graph = await graph_of(azure_inputs())

        outputs = {found.output for found in references(graph.outputs)}
        assert {"defaultDomain", "clientId", "documentEndpoint"} <= outputs

    async def test_a_silo_is_reached_through_its_own_network_only(self) -> None:
        graph = await graph_of(azure_inputs("silo"))

        public = {
            node.name: node.properties["publicNetworkAccess"]
            for node in graph.nodes
            if "publicNetworkAccess" in node.properties
        }
        assert len(public) == 5
        assert set(public.values()) == {"Disabled"}
        (server,) = of_type(graph, "dbforpostgresql:Server")
        assert server.properties["network"]["publicNetworkAccess"] == "Disabled"
        (vault,) = of_type(graph, "keyvault:Vault")
        assert vault.properties["properties"]["publicNetworkAccess"] == "Disabled"
        assert len(of_type(graph, "PrivateEndpoint")) == len(AZURE_DATA) + 1
        (guard,) = of_type(graph, "NetworkSecurityGroup")
        assert [rule["access"] for rule in guard.properties["securityRules"]] == ["Allow", "Deny"]

    @pytest.mark.parametrize("model", ["pool", "shared"])
    async def test_only_a_silo_has_private_endpoints(self, model: str) -> None:
        assert of_type(await graph_of(azure_inputs(model)), "PrivateEndpoint") == []

    async def test_no_data_resource_takes_a_key_or_a_password(self) -> None:
        graph = await graph_of(azure_inputs())

        (account,) = of_type(graph, "StorageAccount")
        (cosmos,) = of_type(graph, "DatabaseAccount")
        (bus,) = of_type(graph, "servicebus:Namespace")
        (postgres,) = of_type(graph, "dbforpostgresql:Server")
        (redis,) = of_type(graph, "redisenterprise:Database")
        (server,) = of_type(graph, ":sql:Server")
        assert account.properties["allowSharedKeyAccess"] is False
        assert cosmos.properties["disableLocalAuth"] is True
        assert bus.properties["disableLocalAuth"] is True
        assert postgres.properties["authConfig"]["passwordAuth"] == "Disabled"
        assert redis.properties["accessKeysAuthentication"] == "Disabled"
        assert server.properties["administrators"]["azureADOnlyAuthentication"] is True

    async def test_what_holds_data_is_protected_when_asked_and_nothing_else(self) -> None:
        graph = await graph_of(azure_inputs())

        protected = {node.name for node in graph.nodes if node.protected}
        assert {f"data-my-{kind.lower()}" for kind in AZURE_DATA} <= protected
        assert all(each.startswith("data-my-") for each in protected)

    @pytest.mark.long
    async def test_only_a_new_generation_gives_the_vault_another_name(self) -> None:
        first = await graph_of(azure_inputs())
        again = await graph_of(azure_inputs(generation=2))

        differing = {
            before.name
            for before, after in zip(first.nodes, again.nodes, strict=True)
            if before != after
        }
        assert differing == {"vault"}

    async def test_what_azure_cannot_honour_is_refused_with_its_place(self) -> None:
        wanted = azure_inputs(
            compute_targets=(
                ComputeTargetInput("AKS", {"cpu": 4.0}, {"nodeCountMax": "-1", "colour": "blue"}),
            ),
            data_resources=(DataResourceInput("a", "CosmosDb", settings={"sku": "x"}),),
        )

        with pytest.raises(PlanRefused) as refused:
            await graph_of(wanted)

        assert [(each.code, each.target) for each in refused.value.details] == [
            ("CapacityNotLimited", "/computeTargets/0/capacity"),
            ("UnknownSetting", "/computeTargets/0/settings/colour"),
            ("NotANumber", "/computeTargets/0/settings/nodeCountMax"),
            ("UnknownSetting", "/dataResources/0/settings/sku"),
        ]

    async def test_the_embedded_engine_shows_the_graph_and_refuses_to_apply_it(
        self, tmp_path: pytest.TempPathFactory
    ) -> None:
        preview = await Embedded(tmp_path).open().preview(STACK, azure_inputs("pool"))

        assert preview.monthly_cost is None
        assert {each.code for each in preview.refusals} == {"ProviderMissing"}


@pytest.mark.real
async def test_without_the_provider_package_the_plan_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interpreter that finds this package first is as one that does not have the real one."""
    absent = tmp_path / "pulumi_azure_native"
    absent.mkdir()
    (absent / "__init__.py").write_text(f"raise ModuleNotFoundError(name={absent.name!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PlanRefused, match="pulumi_azure_native") as refused:
        await ChildEvaluator().evaluate(STACK, azure_inputs())

    assert refused.value.code == "ProgramUnavailable"
