"""`slo`: an objective is set as the options say; burn rates and alerts are those of health."""

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import function_apps
from cli.exit_codes import ExitCode
from shared.contracts.alerts import AlertSubject, open_alert
from tests.cli.small_platform import ENVIRONMENT, NOON, RUNTIME, SERVICE, THE_SERVICE, RuntimeCtl

pytestmark = pytest.mark.real
ALERTS_OF = "GET /v1/platform"
WEB = "svc-w5ekllr23tyb-zzzzzzzzzz"
HEALTH: dict[str, Any] = {
    "status": "Unhealthy", "since": NOON,
    "sloBurn": [
        {"sli": "availability", "longWindow": "PT1H", "long": 20.5, "shortWindow": "PT5M",
         "short": 31.0},
    ],
    "alerts": [{"alert": "ErrorBudgetBurnsFast", "severity": "Critical", "raisedAt": NOON}],
}  # fmt: skip
EXPLAINED = {"status": "Unhealthy", "since": NOON, "rootCause": {"serviceId": SERVICE}}
TWO = {
    f"GET {RUNTIME}/services": [
        THE_SERVICE, {**THE_SERVICE, "serviceId": WEB, "moduleId": "module-web"},
    ],
    f"GET {RUNTIME}/services/{SERVICE}/health": HEALTH,
    f"GET {RUNTIME}/services/{WEB}/health": EXPLAINED,
}  # fmt: skip


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def test_an_objective_is_set_as_the_options_say(runtimectl: RuntimeCtl) -> None:
    path = f"{RUNTIME}/services/{SERVICE}/slo"
    line = "slo set module-shop --env test --sli Latency --objective 0.99 --latency-ms-max 300"

    ran = runtimectl.run(line, {f"PUT {path}": {"serviceId": SERVICE}})

    assert ran.code == ExitCode.OK
    assert ran.written == (
        f"PUT {path}",
        {"sli": "latency", "objective": 0.99, "window": "P30D", "latencyMsMax": 300.0},
    )


def test_a_word_that_is_none_is_refused_with_the_one_that_was_meant(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(f"slo set {SERVICE} --sli availabilty --objective 0.99")

    assert ran.code == ExitCode.USAGE
    assert "got 'availabilty'; did you mean availability?" in " ".join(ran.err.split())


def test_an_objective_that_a_provider_measures_has_its_queries_in_a_file(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    path = f"{RUNTIME}/services/{SERVICE}/slo"
    metrics = {"source": "prometheus", "requests": "all[{{window}}]", "errors": "bad[{{window}}]"}
    file = tmp_path / "metrics.yaml"
    file.write_text(json.dumps(metrics))
    line = f"slo set {SERVICE} --sli availability --objective 0.99 --metrics {file}"

    ran = runtimectl.run(line, {f"PUT {path}": {"serviceId": SERVICE}})

    assert ran.written is not None
    assert ran.written[1]["metrics"] == metrics


def test_the_objective_of_one_service_is_shown(runtimectl: RuntimeCtl) -> None:
    objective = {"serviceId": SERVICE, "sli": "probes", "objective": 0.99}

    ran = runtimectl.run(
        f"slo get {SERVICE} -o json", {f"GET {RUNTIME}/services/{SERVICE}/slo": objective}
    )

    assert json.loads(ran.out) == objective


def test_an_objective_has_a_row_for_each_of_its_burn_rates(runtimectl: RuntimeCtl) -> None:
    rate = {"sli": "availability", "longWindow": "PT1H", "long": 2.5, "shortWindow": "PT5M"}
    objective = {"serviceId": SERVICE, "sli": "availability", "burn": [{**rate, "short": 31.0}]}

    ran = runtimectl.run(f"slo get {SERVICE}", {f"GET {RUNTIME}/services/{SERVICE}/slo": objective})

    assert ["PT1H", "2.50", "PT5M", "31.00"] in [line.split() for line in ran.out.splitlines()]
    assert "long=" not in ran.out


def test_burn_rates_have_a_row_for_each_pair_of_windows(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("slo burn", TWO)

    (row,) = [line for line in ran.out.splitlines() if "module-" in line]
    for shown in ("module-shop", "test", "availability", "PT1H", "20.50", "PT5M", "31.00"):
        assert shown in row


def test_an_alert_names_the_services_that_it_explains(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("slo alerts", TWO)

    (row,) = [line for line in ran.out.splitlines() if "module-shop" in line]
    for shown in ("ErrorBudgetBurnsFast", "Critical", "module-web"):
        assert shown in row


def test_a_breach_of_isolation_is_listed_as_long_as_its_alert_is_raised(
    runtimectl: RuntimeCtl,
) -> None:
    proofs = [
        {"layer": "network", "verdict": "Indeterminate", "raisedAt": NOON},
        {"layer": "identity", "verdict": "Pass", "raisedAt": None},
    ]
    bound = {
        "bindingId": "tb-w5ekllr23tyb-bbbbbbbbbbbb", "tenantId": "globex",
        "ownerTenantId": "acme", "environmentId": ENVIRONMENT, "proofs": proofs,
    }  # fmt: skip

    ran = runtimectl.run("slo alerts", {**TWO, f"GET {RUNTIME}/tenant-bindings": [bound]})

    (row,) = [line for line in ran.out.splitlines() if "IsolationBreached" in line]
    assert [each for each in ("globex", "test", "Critical") if each not in row] == []
    assert f"tenant proofs {bound['bindingId']} --tenant globex" in ran.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("slo burn", "slo set", id="nothing-is-measured"),
        pytest.param("slo alerts", "no alert is raised", id="nothing-is-raised"),
    ],
)
def test_an_empty_list_says_so(line: str, said: str, runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(line, {f"GET {RUNTIME}/tenant-bindings": []})

    assert said in ran.out + ran.err


def test_alerts_that_the_caller_may_not_read_are_not_called_none(runtimectl: RuntimeCtl) -> None:
    unread = {f"GET {RUNTIME}/tenant-bindings": None, f"{ALERTS_OF}/scaling/alerts": None}

    ran = runtimectl.run("slo alerts", unread)

    assert "no alert is raised of what you may read" in ran.out + ran.err
    assert "alerts of isolation are not shown: you may not read bindings" in ran.err
    assert "alerts of scaling are not shown: it does not run, or you may not" in ran.err


@pytest.mark.parametrize(
    ("app", "alert", "about"),
    [
        ("deployments", "NothingToGoBackTo", ""),
        ("secret-bindings", "SecretRotationFailed", "db-password"),
        ("scaling", "ScalingPolicyRejected", ""),
        ("drift", "SevereDrift", ""),
    ],
)
def test_an_alert_of_any_app_is_listed(
    app: str, alert: str, about: str, runtimectl: RuntimeCtl
) -> None:
    subject = AlertSubject(f"{ENVIRONMENT}/it", ENVIRONMENT)
    found = open_alert(alert, subject, NOON, about=about).model_dump(mode="json", by_alias=True)

    ran = runtimectl.run("slo alerts", {f"{ALERTS_OF}/{app}/alerts": [found]})

    (row,) = [line for line in ran.out.splitlines() if alert in line]
    assert [each for each in ("test", about, "12:00:00") if each not in row] == []
    assert f"`runtimectl explain {alert}`" in ran.err


def test_no_app_that_raises_alerts_is_left_out(runtimectl: RuntimeCtl) -> None:
    names = [each.name for each in pkgutil.iter_modules(function_apps.__path__)]
    triggers = {name: importlib.import_module(f"function_apps.{name}.triggers") for name in names}
    raising = {name.replace("_", "-") for name in names if hasattr(triggers[name], "ALERTS")}

    ran = runtimectl.run("slo alerts", {f"GET {RUNTIME}/tenant-bindings": []})

    paths = {asked.path.partition("?")[0] for asked in ran.asked}
    lists = {f"/v1/platform/{app}/alerts" for app in raising - {"health", "tenants"}}
    assert {"health", "tenants"} < raising
    assert {path for path in paths if path.endswith("/alerts")} == lists
    # Those two are read where they stand beside what explains them.
    assert {f"{RUNTIME}/services/{SERVICE}/health", f"{RUNTIME}/tenant-bindings"} < paths


def test_windows_with_too_few_events_have_a_row_that_says_so(runtimectl: RuntimeCtl) -> None:
    windows = {
        "sli": "availability", "longWindow": "P1D", "long": 7.5,
        "shortWindow": "PT2H", "short": None,
    }  # fmt: skip
    health = {**HEALTH, "sloUnmeasured": [windows]}

    ran = runtimectl.run("slo burn", {**TWO, f"GET {RUNTIME}/services/{SERVICE}/health": health})

    measured, unmeasured = (line for line in ran.out.splitlines() if "module-" in line)
    assert "20.50" in measured
    assert [each in unmeasured for each in ("P1D", "7.50", "PT2H", "too few events")] == [True] * 4
