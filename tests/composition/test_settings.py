"""Settings that are missing, wrong, unknown or contradictory stop the start, all named at once."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.composition.keys import key_source
from shared.composition.settings import (
    COSMOS_ENDPOINT,
    EVERY_APP,
    Need,
    Settings,
    read_settings,
    tenancy,
)
from shared.composition.settings import InvalidSetting as Wrong
from shared.contracts.patterns import GIVEN_VARIABLES
from shared.web.authentication import KeysByIssuer

REPOSITORY = Path(__file__).parents[2]
AZURE = {
    "RUNTIME_ISSUERS": "https://login.test",
    "RUNTIME_TENANT_ISSUERS": "https://login.test",
    "CosmosDB__accountEndpoint": "https://shop.documents.test",
    "ServiceBus__fullyQualifiedNamespace": "shop.servicebus.test",
    "Storage__tableServiceUri": "https://shop.table.test",
}
EMULATORS = {
    "RUNTIME_PROFILE": "local",
    "RUNTIME_ISSUER_KEYS": "/keys.json",
    "CosmosDB": "AccountEndpoint=http://127.0.0.1:8081;AccountKey=c2VjcmV0",
    "ServiceBus": "Endpoint=sb://127.0.0.1;UseDevelopmentEmulator=true",
    "Storage": "UseDevelopmentStorage=true",
}


def refused(environ: dict[str, str]) -> list[tuple[str, str]]:
    """Return the code and the name of each setting for which *environ* is refused."""
    with pytest.raises(Wrong) as caught:
        read_settings(environ, EVERY_APP)
    return [(each.code, each.target) for each in caught.value.details]


def test_the_connections_of_azure_are_read() -> None:
    settings = read_settings(AZURE, EVERY_APP)

    assert settings.cosmos_endpoint == "https://shop.documents.test"
    assert settings.service_bus_namespace == "shop.servicebus.test"
    assert settings.storage_tables == "https://shop.table.test"


def test_a_connection_string_stands_for_the_addresses() -> None:
    settings = read_settings(EMULATORS, (*EVERY_APP, Need.BLOBS))

    assert settings.storage is not None
    assert settings.storage.get_secret_value() == "UseDevelopmentStorage=true"


@pytest.mark.parametrize(("value", "expected"), [("abc", "a whole number"), ("0", "at least 32")])
def test_a_number_that_is_none_is_told_what_is_expected(value: str, expected: str) -> None:
    with pytest.raises(Wrong) as caught:
        read_settings({**AZURE, "RUNTIME_ENDED_KEPT_DAYS": value}, EVERY_APP)

    assert [each.expected for each in caught.value.details] == [expected]


def test_all_that_is_missing_is_named() -> None:
    assert refused({}) == [
        ("Required", "RUNTIME_ISSUERS"),
        *(("Required", need) for need in EVERY_APP),
    ]


def test_the_keys_of_this_machines_issuer_must_be_named_where_no_host_brings_them() -> None:
    environ = {name: value for name, value in EMULATORS.items() if name != "RUNTIME_ISSUER_KEYS"}

    assert refused(environ) == [("Required", "RUNTIME_ISSUER_KEYS")]


def test_what_is_wrong_and_what_is_missing_are_named_together() -> None:
    environ = {**AZURE, "RUNTIME_PROFILE": "dev", "RUNTIME_RATE_PER_S": "many"}
    del environ["ServiceBus__fullyQualifiedNamespace"]

    assert refused(environ) == [
        ("NotAllowed", "RUNTIME_PROFILE"),
        ("WrongType", "RUNTIME_RATE_PER_S"),
        ("Required", "ServiceBus__fullyQualifiedNamespace"),
    ]


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [
        ("RUNTIME_ISUERS", "did you mean RUNTIME_ISSUERS?"),
        ("CosmosDB__accountEndPoint", "did you mean CosmosDB__accountEndpoint?"),
        ("Storage__queueServiceUri", "did you mean Storage__tableServiceUri?"),
        ("KeyVault", "did you mean KeyVault__vaultUri?"),
        ("RUNTIME_ZZZZZZZZ", "remove it"),
    ],
)
def test_an_unknown_setting_below_our_prefixes_is_refused_with_the_nearest(
    unknown: str, hint: str
) -> None:
    with pytest.raises(Wrong, match="there is no such setting") as caught:
        read_settings({**AZURE, unknown: "x"}, EVERY_APP)

    assert caught.value.message.endswith(hint)


@pytest.mark.parametrize("name", ["RUNTIME_INSTANCE_TOKEN", "RUNTIME_DATA_UPLOADS", "STORAGE", "X"])
def test_settings_of_others_are_left_alone(name: str) -> None:
    read_settings({**AZURE, name: "x"}, EVERY_APP)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CosmosDB", "AccountEndpoint=nowhere;AccountKey=hunter2"),
        ("ServiceBus", "hunter2"),
        ("ServiceBus", "Endpoint=sb://127.0.0.1"),
        ("ServiceBus", "Endpoint=127.0.0.1;SharedAccessKeyName=a;SharedAccessKey=hunter2"),
        ("Storage", "hunter2"),
        ("Storage", "AccountName=a;BlobEndpoint=http://127.0.0.1:1/a"),
        ("Storage", "AccountName=a;AccountKey=hunter2;TableEndpoint=nowhere"),
    ],
)
def test_a_connection_string_by_which_nothing_connects_is_refused_and_not_shown(
    name: str, text: str
) -> None:
    with pytest.raises(Wrong, match=f"{name}: expected .*=") as caught:
        read_settings({**EMULATORS, name: text}, EVERY_APP)

    assert "hunter2" not in f"{caught.value.message} {caught.value.details}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ServiceBus", "Endpoint=sb://a.test/;SharedAccessKeyName=a;SharedAccessKey=a2V5;"),
        ("ServiceBus", "Endpoint=sb://a.test;SharedAccessSignature=SharedAccessSignature sr=a"),
        ("Storage", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5"),
        ("Storage", "TableEndpoint=https://a.test;SharedAccessSignature=sv=1&sig=a"),
    ],
)
def test_the_forms_of_connection_strings_that_the_sdks_take_are_taken(name: str, text: str) -> None:
    assert read_settings({**EMULATORS, name: text}, EVERY_APP).has_connections


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificate_authorities_that_cannot_be_read_are_refused(
    content: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    assert refused({**AZURE, "RUNTIME_CA_FILE": str(file)}) == [("RuleBroken", "RUNTIME_CA_FILE")]


def test_tokens_of_callers_go_to_a_gateway_in_the_clear_on_one_machine_only() -> None:
    plain = {"RUNTIME_GATEWAY_URL": "http://10.0.0.4:7071"}

    assert refused({**AZURE, **plain}) == [("RuleBroken", "RUNTIME_GATEWAY_URL")]
    assert read_settings({**EMULATORS, **plain}, EVERY_APP).gateway_url == "http://10.0.0.4:7071"


CLUSTER = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop"
    "/providers/Microsoft.ContainerService/managedClusters/shop-aks"
)


@pytest.mark.parametrize("identifier", [CLUSTER, CLUSTER.lower()])
def test_the_cluster_of_workloads_is_named_by_its_id(identifier: str) -> None:
    assert read_settings({**AZURE, "RUNTIME_AKS_CLUSTER_ID": identifier}).aks_cluster == identifier


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "shop-aks",
        CLUSTER.removeprefix("/"),
        f"{CLUSTER}/agentPools/system",
        f"{CLUSTER}\n",
        CLUSTER.replace("00000001", "1"),
        CLUSTER.replace("managedClusters", "containerGroups"),
    ],
)
def test_what_is_no_id_of_a_cluster_is_refused_with_where_it_is_found(identifier: str) -> None:
    with pytest.raises(Wrong, match=r"RUNTIME_AKS_CLUSTER_ID: expected .*az aks show --query id"):
        read_settings({**AZURE, "RUNTIME_AKS_CLUSTER_ID": identifier})


def test_two_clusters_contradict_each_other() -> None:
    both = {"RUNTIME_AKS_CLUSTER_ID": CLUSTER, "RUNTIME_KUBECONFIG": "/kubeconfig"}

    assert refused({**AZURE, **both}) == [("Contradiction", "RUNTIME_KUBECONFIG")]


def test_a_context_is_one_of_a_kubeconfig() -> None:
    context = {"RUNTIME_KUBECONFIG_CONTEXT": "shop"}

    assert refused({**AZURE, **context}) == [("Contradiction", "RUNTIME_KUBECONFIG_CONTEXT")]
    named = {**AZURE, **context, "RUNTIME_KUBECONFIG": "/kubeconfig"}
    assert read_settings(named).kubeconfig_context == "shop"


def test_counters_of_a_gateway_are_those_of_a_named_cluster() -> None:
    counters = {"RUNTIME_GATEWAY_COUNTERS_URL": "http://127.0.0.1:25000/stats/prometheus"}

    assert refused({**AZURE, **counters}) == [("Contradiction", "RUNTIME_GATEWAY_COUNTERS_URL")]
    named = {**AZURE, **counters, "RUNTIME_KUBECONFIG": "/kubeconfig"}
    assert read_settings(named).gateway_counters == counters["RUNTIME_GATEWAY_COUNTERS_URL"]
    elsewhere = {**named, "RUNTIME_GATEWAY_COUNTERS_URL": "http://127.0.0.1:25000/quitquitquit"}
    assert [target for _, target in refused(elsewhere)] == ["RUNTIME_GATEWAY_COUNTERS_URL"]


ISSUER = "https://eastus.oic.prod-aks.azure.com/directory/cluster/"
OF_CLUSTER = {"RUNTIME_CLUSTER_ISSUER": ISSUER, "RUNTIME_GATEWAY_URL": "https://api.test"}


def test_the_issuer_of_a_cluster_is_trusted_and_names_nobody() -> None:
    settings = read_settings({**AZURE, **OF_CLUSTER})

    assert settings.issuers[-1] == ISSUER
    assert tenancy(settings).clusters == {ISSUER: "factory-runtime"}
    assert ISSUER not in tenancy(settings).naming


def test_pods_with_tokens_need_an_address_to_ask() -> None:
    named = {**AZURE, "RUNTIME_CLUSTER_ISSUER": ISSUER}

    assert refused(named) == [("Required", "RUNTIME_GATEWAY_URL")]


def test_a_file_of_keys_is_of_the_other_issuer() -> None:
    one, two = "https://one.test", "https://two.test"
    named = {**EMULATORS, **OF_CLUSTER, "RUNTIME_ISSUERS": one, "RUNTIME_TENANT_ISSUERS": one}

    keys = key_source(read_settings(named))

    assert isinstance(keys, KeysByIssuer)
    assert keys.own.keys() == {one}
    both = {**named, "RUNTIME_ISSUERS": f"{one} {two}", "RUNTIME_TENANT_ISSUERS": f"{one} {two}"}
    assert refused(both) == [("Contradiction", "RUNTIME_ISSUER_KEYS")]


@pytest.mark.parametrize(
    "issuer", ["kubernetes/serviceaccount", "https://a.example,https://b.example"]
)
def test_an_issuer_of_a_cluster_has_the_form_of_one(issuer: str) -> None:
    named = {**AZURE, **OF_CLUSTER, "RUNTIME_CLUSTER_ISSUER": issuer}

    assert refused(named) == [("WrongIssuer", "RUNTIME_CLUSTER_ISSUER")]


def test_a_vault_alone_is_a_connection() -> None:
    assert read_settings(
        {"RUNTIME_PROFILE": "local", "KeyVault__vaultUri": "https://v.test"}
    ).has_connections


def test_an_address_and_a_connection_string_contradict_each_other() -> None:
    assert refused({**AZURE, "Storage": "UseDevelopmentStorage=true"}) == [
        ("Contradiction", "Storage")
    ]


def test_an_issuer_whose_tokens_are_for_no_tenant_is_refused() -> None:
    environ = {name: value for name, value in AZURE.items() if name != "RUNTIME_TENANT_ISSUERS"}

    assert refused(environ) == [("Required", "RUNTIME_TENANTS")]


def test_one_key_set_for_two_issuers_is_refused() -> None:
    two = "https://login.test https://other.test"
    keys = {"RUNTIME_ISSUERS": two, "RUNTIME_TENANT_ISSUERS": two, "RUNTIME_ISSUER_KEYS": "/keys"}

    assert refused({**AZURE, **keys}) == [("Contradiction", "RUNTIME_ISSUER_KEYS")]


def test_an_issuer_without_https_is_refused() -> None:
    plain = {"RUNTIME_ISSUERS": "http://login.test", "RUNTIME_TENANT_ISSUERS": "http://login.test"}

    assert refused({**AZURE, **plain}) == [("WrongIssuer", "RUNTIME_ISSUERS")]


def test_two_identities_of_one_app_contradict_each_other() -> None:
    ids = {
        "CosmosDB__clientId": "00000000-0000-0000-0000-000000000001",
        "ServiceBus__clientId": "00000000-0000-0000-0000-000000000002",
    }

    assert refused({**AZURE, **ids}) == [("Contradiction", "CosmosDB__clientId")]


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", ""])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    ((_, name),) = refused({**AZURE, "RUNTIME_RATE_PER_S": text})

    assert name == "RUNTIME_RATE_PER_S"


EXPORTED = {
    **AZURE,
    "RUNTIME_TELEMETRY": "otlp applicationinsights",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": (
        "InstrumentationKey=00000000-0000-0000-0000-000000000001;"
        "IngestionEndpoint=https://westeurope-1.in.applicationinsights.test/"
    ),
}


def test_exporters_are_read_with_their_addresses() -> None:
    environ = {**EXPORTED, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hunter2"}
    exporters = read_settings({**environ, "RUNTIME_TELEMETRY_RATIO": "0.1"}, EVERY_APP).exporters

    assert (exporters.names, exporters.ratio) == (("otlp", "applicationinsights"), 0.1)
    assert exporters.otlp_endpoint == "http://127.0.0.1:4318"
    assert "hunter2" not in repr(exporters)


def test_the_address_of_an_exporter_must_be_named() -> None:
    assert refused({**AZURE, "RUNTIME_TELEMETRY": "otlp applicationinsights"}) == [
        ("Required", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("Required", "APPLICATIONINSIGHTS_CONNECTION_STRING"),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNTIME_TELEMETRY", "otlp jaeger"),
        ("RUNTIME_TELEMETRY_RATIO", "1.5"),
        ("RUNTIME_TELEMETRY_RATIO", "nan"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=hunter2"),
    ],
)
def test_a_wrong_setting_of_telemetry_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(Wrong, match=name) as caught:
        read_settings({**EXPORTED, name: value}, EVERY_APP)

    assert {each.target for each in caught.value.details} == {name}
    assert "hunter2" not in f"{caught.value.message} {caught.value.details}"


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"])
def test_what_the_host_alone_exports_with_is_left_alone(name: str) -> None:
    assert not read_settings({**AZURE, name: "collector:4317"}, EVERY_APP).exporters.names


@pytest.mark.parametrize("profile", ["", "Local", "dev", "prod"])
def test_an_unknown_profile_is_refused_with_the_known_ones(profile: str) -> None:
    with pytest.raises(Wrong, match="RUNTIME_PROFILE: expected one of 'local' or 'production'"):
        read_settings({**AZURE, "RUNTIME_PROFILE": profile})


@given(st.sampled_from(["CosmosDB", "ServiceBus", "Storage"]), st.text("abz019+/", min_size=8))
def test_a_connection_string_is_in_no_refusal(name: str, secret: str) -> None:
    with pytest.raises(Wrong) as caught:
        read_settings({name: f"AccountKey={secret}", "RUNTIME_X": "1"}, EVERY_APP)

    said = [caught.value.message, *(f"{each}" for each in caught.value.details)]
    assert not [each for each in said if f"={secret}" in each]


@pytest.mark.parametrize(
    "name", ["KeyVault__vaultUri", "RUNTIME_GATEWAY_URL", "RUNTIME_ISSUERS", COSMOS_ENDPOINT]
)
@pytest.mark.parametrize("start", ["http://u:", "https://u:", f"https://{'u' * 300}:", "//u:"])
def test_a_password_in_a_url_is_in_no_refusal(name: str, start: str) -> None:
    with pytest.raises(Wrong) as caught:
        read_settings({**AZURE, name: f"{start}s3cret@vault.test"})

    said = [caught.value.message, *(f"{each}" for each in caught.value.details)]
    assert not [each for each in said if "s3cret" in each]


def test_no_setting_has_the_name_of_a_variable_of_a_workload() -> None:
    names = [str(field.alias) for field in Settings.model_fields.values()]

    assert [name for name in names if GIVEN_VARIABLES.fullmatch(name)] == []


def test_the_sample_settings_are_ones_that_the_model_takes() -> None:
    sample = json.loads((REPOSITORY / "local.settings.sample.json").read_text())["Values"]

    assert read_settings(sample).is_local
