import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import function_apps
import shared
from cli.commands.artifacts import _copy
from cli.exit_codes import ExitCode
from cli.failure import Detail, Failure
from cli.main import main
from cli.remedies import REMEDIES
from cli.remedy_lookup import remedy_for
from cli.session import only_match
from cli.state_folder import REPOSITORY
from cli.typed import remember, remember_caller
from function_apps.deployments.errors import BindingSuspended
from function_apps.secret_bindings.errors import BindingExists, TenantSuspended
from function_apps.tenants.errors import ConfirmationMissing, TenantBindingExists
from shared.kernel.errors import Refused, Unavailable, Violation

DEPLOYMENT = "dep-w5ekllr23tyb-01m86yeaqmyfyf32"


@pytest.fixture(autouse=True)
def _nothing_typed() -> Iterator[None]:
    remember({})
    yield
    remember({})


def _error_codes() -> Iterator[str]:
    for package in (shared, function_apps):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith(".errors"):
                importlib.import_module(module.name)
    waiting: list[type[Exception]] = [Refused, Unavailable]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith(("shared.", "function_apps.")):
            yield str(vars(kind).get("code", getattr(kind, "code", "")))


def _nouns() -> list[str]:
    """Return how each table of transitions calls its aggregate."""
    tables = [
        re.search(r"Transitions\(\s*\"([^\"]+)\"", path.read_text(encoding="utf-8"))
        for path in (REPOSITORY / "function_apps").rglob("model/*.py")
    ]
    return sorted(found[1] for found in tables if found)


def test_every_code_that_a_service_can_answer_has_a_remedy_of_its_own() -> None:
    missing = {code for code in _error_codes() if code not in REMEDIES}

    assert missing == set()


def test_every_remedy_is_of_a_code_that_exists() -> None:
    sources = [
        path.read_text(encoding="utf-8")
        for package in ("shared", "function_apps", "local_agent", "local_cloud", "cli")
        for path in (REPOSITORY / package).rglob("*.py")
        if path.name not in {"remedies.py", "remedy_lookup.py"}
    ]
    unused = {
        code
        for code in REMEDIES
        if not any(f'"{code}"' in text or f"class {code}(" in text for text in sources)
    }

    assert unused == set()


@pytest.mark.parametrize("exit_code", [code for code in ExitCode if code is not ExitCode.OK])
def test_an_unknown_code_still_has_a_next_step(exit_code: ExitCode) -> None:
    assert remedy_for("SomethingNew", "no id here", exit_code)


def test_a_remedy_names_the_deployment_of_the_message() -> None:
    refused = Failure(f"it was rolled back by {DEPLOYMENT}", ExitCode.CONFLICT, code="Held")

    assert f"`runtimectl release-hold {DEPLOYMENT}`" in refused.remedy


def test_a_remedy_without_an_id_has_a_placeholder() -> None:
    assert "<deployment>" in remedy_for("Held", "it is held", ExitCode.CONFLICT)


def test_what_is_wrong_with_a_field_is_shown_with_expected_and_received() -> None:
    details = [Detail("/components/0/port", "out of range", "1 to 65535", "0")]

    shown = Failure(
        "the body is invalid", ExitCode.REFUSED, code="Invalid", details=details
    ).lines()

    assert shown[0] == "error: the body is invalid [Invalid]"
    assert shown[1] == "  - components[0].port: out of range; expected 1 to 65535, got 0"
    assert shown[2].startswith("next:  ")


def test_a_trace_id_is_shown_for_our_own_defects_only() -> None:
    ours = Failure("broken", ExitCode.DEFECT, trace_id="trace-1").lines()
    theirs = Failure("refused", ExitCode.REFUSED, trace_id="trace-1").lines()

    assert "trace: trace-1" in ours
    assert "trace: trace-1" not in theirs


def test_without_a_system_the_remedy_is_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["status", "--state", str(tmp_path)])

    assert code == ExitCode.UNAVAILABLE
    assert f"`runtimectl --state {tmp_path} up`" in capsys.readouterr().err


def test_a_state_of_an_environment_leads_to_that_environment() -> None:
    message = "not possible for an environment in state Failed (UpdateRequested)"
    remember({"environment": "test"})

    assert "`runtimectl env show test`" in remedy_for(
        "TransitionRefused", message, ExitCode.CONFLICT
    )


@pytest.mark.parametrize(
    ("code", "message", "line"),
    [
        ("TenantBindingRequired", "env-w5ekllr23tyb is prod", "runtimectl tenant bind live --wait"),
        ("TenantBindingSuspended", "suspended", "runtimectl tenant resume live --reason settled"),
        ("TenantSuspended", "suspended", "runtimectl tenant resume live --reason settled"),
        (
            "TenantBindingSuspended",
            str(BindingSuspended("env-w5ekllr23tyb", "acme", "globex")),
            "resume it: `runtimectl tenant resume live --tenant acme --reason settled`",
        ),
        (
            "TenantSuspended",
            str(TenantSuspended("env-w5ekllr23tyb", is_foreign=True)),
            "ask the owner of the environment to resume it",
        ),
        (
            "TenantBindingExists",
            "the tenant is bound already, by tb-w5ekllr23tyb-aaaaaaaaaaaa, with another quota",
            "unbind tb-w5ekllr23tyb-aaaaaaaaaaaa --tenant acme --confirm acme --wait",
        ),
        (
            "EnvironmentNotAdmitting",
            "globex has no provisioned environment env-w5ekllr23tyb that acme may be bound to: x",
            "runtimectl env update live --admit acme --wait",
        ),
        (
            "TransitionRefused",
            "not possible for a policy in state Enforced (Resumed); allowed in: Paused",
            "it is not paused",
        ),
        (
            "TransitionRefused",
            "not possible for a tenant binding in state Unbinding (BindingRepeated); allowed in: x",
            "wait until it is Unbound: `runtimectl tenant show live`",
        ),
        (
            "TransitionRefused",
            "not possible for a tenant binding in state Unbound (TenantResumed); allowed in: x",
            "runtimectl tenant bind",
        ),
        (
            "TransitionRefused",
            "not possible for a tenant binding in state Suspended (MoveRequested); allowed in: x",
            "resume it first: `runtimectl tenant resume live",
        ),
        ("TenantsBound", "1 other tenant", "runtimectl tenant list --env live"),
        ("ScopeMissing", "needs the scope runtime.tenants.write", "--role Runtime.Admin"),
        ("ScopeMissing", "needs the scope runtime.deployments.write", "--role Runtime.Operate"),
        ("ScopeMissing", "acme is not the caller's tenant: only", "the owner of the environment"),
        (
            "ConfirmationMissing",
            str(ConfirmationMissing("acme", "x", is_owner=False)),
            "`--confirm acme`",
        ),
    ],
)
def test_what_is_refused_of_a_tenant_leads_to_what_helps(
    code: str, message: str, line: str
) -> None:
    remember({"env": "live", "tenant": "acme"})

    assert line in remedy_for(code, message, ExitCode.CONFLICT)


def test_ones_own_environment_that_is_not_there_yet_is_not_to_be_admitted() -> None:
    message = "acme has no provisioned environment env-w5ekllr23tyb that acme may be bound to: x"

    assert "--admit" not in remedy_for("EnvironmentNotAdmitting", message, ExitCode.NOT_FOUND)


def test_who_is_logged_in_is_the_tenant_where_none_is_typed() -> None:
    remember({})
    remember_caller("acme", "ann")

    remedy = remedy_for("TenantBindingExists", "bound", ExitCode.CONFLICT)
    assert "unbind <binding> --confirm acme" in remedy


@pytest.mark.parametrize("code", ["NotFound", "DeploymentNotFound", "ResourceNotFound"])
def test_of_what_is_not_there_the_tenant_is_said_in_which_it_was_looked_for(code: str) -> None:
    remember({})
    remember_caller("acme", "ann")

    remedy = remedy_for(code, "no deployment 'dep-1'", ExitCode.NOT_FOUND)

    assert remedy.endswith("; you are logged in to the tenant acme")


def test_of_a_name_that_nothing_has_the_tenant_is_said() -> None:
    remember({})
    remember_caller("acme", "ann")

    with pytest.raises(Failure, match="no environment of the tenant acme is called 'shop'"):
        only_match([], "environment", "shop", "see what there is")


def test_who_lacks_a_role_keeps_tenant_and_name_in_the_login_that_is_proposed() -> None:
    remember({})
    remember_caller("acme", "ann")

    assert "--tenant acme --user ann" in remedy_for("ScopeMissing", "x", ExitCode.REFUSED)


def test_who_lacks_a_role_logs_in_as_himself_whomever_the_command_is_about() -> None:
    remember({"name": "test", "tenant": "guest"})
    remember_caller("acme", "ann")

    remedy = remedy_for("ScopeMissing", "needs the scope runtime.tenants.write", ExitCode.REFUSED)

    assert "login --dev --tenant acme --user ann --role Runtime.Admin" in remedy


def test_another_model_of_isolation_leads_to_a_move_which_takes_nothing_away() -> None:
    remember({"env": "real", "model": "silo"})
    differs = Violation("Differs", "/isolationModel", "differs from what is active")
    message = str(TenantBindingExists("tb-w5ekllr23tyb-aaaaaaaaaaaa", [differs]))

    remedy = remedy_for("TenantBindingExists", message, ExitCode.CONFLICT)

    assert "`runtimectl tenant move real --model silo --wait`" in remedy
    assert "unbind" not in f"{message} {remedy}"


@pytest.mark.parametrize(
    "message",
    [
        "no resource has the id 'nope': expected an id of kind op",
        "no operation 'op-deployments-w5ekllr23tyb-0123456789abcdef'",
    ],
)
def test_an_operation_that_is_not_there_leads_to_the_list_of_operations(message: str) -> None:
    assert "`runtimectl operations`" in remedy_for("NotFound", message, ExitCode.NOT_FOUND)


def test_a_name_that_is_given_twice_to_an_instance_leads_to_another_name() -> None:
    message = "environ of module-web must be of other names than its configuration, got 'MODE'"

    remedy = remedy_for("PlanRefused", message, ExitCode.REFUSED)

    assert "the target of the secret another name" in remedy
    assert "`runtimectl parked`" in remedy


@pytest.mark.parametrize(
    "message",
    [
        f"{DEPLOYMENT} is in env-w5ekllr23tyb already",
        f"{DEPLOYMENT} only removed modules",
        f"module-shop of {DEPLOYMENT} is no longer in force: nothing is",
        f"{DEPLOYMENT} is Failed; only Completed is promoted",
    ],
)
def test_nobody_waits_for_the_soak_time_of_what_is_never_promoted(message: str) -> None:
    assert "soak time" not in remedy_for("NotPromotable", message, ExitCode.CONFLICT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk")
def test_a_full_disk_is_told_by_the_room_that_is_missing(tmp_path: Path) -> None:
    archive = tmp_path / "shop.zip"
    archive.write_bytes(b"x" * 1234)

    with pytest.raises(Failure) as refused:
        _copy(archive, Path("/dev/full"))

    assert refused.value.remedy == "make room for 1,234 bytes there, or name another disk"


@pytest.mark.parametrize("noun", _nouns())
def test_a_state_leads_to_the_command_that_shows_it(noun: str) -> None:
    message = f"not possible for {noun} in state Y (X); allowed in: Z"

    assert "`runtimectl " in remedy_for("TransitionRefused", message, ExitCode.CONFLICT)


def test_a_move_without_room_leads_to_a_release_that_stops_first() -> None:
    remedy = remedy_for("MoveTakenBack", "exceeded quota: tenant", ExitCode.ENDED_OTHERWISE)

    assert remedy.index("`--restart --strategy recreate`") < remedy.index("`--allow-downtime`")


def test_a_remedy_has_the_words_that_were_typed_in_place_of_placeholders() -> None:
    remember({"env": "test", "module": "module-shop", "state": Path("there")})

    logs = remedy_for("NotReadyInTime", "not ready", ExitCode.ENDED_OTHERWISE)
    log = remedy_for("HostUnreachable", "no answer", ExitCode.UNAVAILABLE)

    assert "`runtimectl logs module-shop --env test`" in logs
    assert "there/logs/host.log" in log


@pytest.mark.parametrize(
    ("code", "message", "line"),
    [
        ("BindingExists", "bound", "runtimectl secret revoke pw --env test --module module-shop"),
        (
            "ConfigurationNotFound",
            "no version 9 of configuration 'cfg-1'",
            "runtimectl config versions --env test --module module-shop",
        ),
        ("HeadMoved", "moved", "runtimectl config diff --env test --module module-shop"),
    ],
)
def test_a_next_step_has_all_that_its_command_needs_of_what_was_typed(
    code: str, message: str, line: str
) -> None:
    remember({"secret": "pw", "env": "test", "module": "module-shop"})

    assert f"`{line}`" in remedy_for(code, message, ExitCode.CONFLICT)


def test_the_layer_of_the_tenant_is_named_by_its_option() -> None:
    remember({"layer": "tenant"})

    remedy = remedy_for("NothingToReturnTo", "none", ExitCode.CONFLICT)

    assert "`runtimectl config versions --layer tenant`" in remedy


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("HostUnreachable", ExitCode.UNAVAILABLE), ("Unauthenticated", ExitCode.NOT_LOGGED_IN)],
)
def test_a_system_elsewhere_is_not_started_and_not_logged_in_to_from_here(
    code: str, exit_code: ExitCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMECTL_URL", "https://runtime.example")

    assert "`runtimectl" not in remedy_for(code, "no", exit_code)


def test_a_sentence_is_said_once() -> None:
    said = "expected 1 to 65535, received 0"
    refused = Failure(
        f"/components/0/port: {said}",
        ExitCode.REFUSED,
        code="Invalid",
        details=[Detail("/components/0/port", said, "1 to 65535", "0")],
    )

    assert "\n".join(refused.lines()).count("65535") == 1


def test_a_value_that_is_called_as_a_field_stays_as_it_came() -> None:
    remember({}, {"since": "--since", "until": "--until", "module": "--module"})
    said = (
        "fromAt is before untilAt and has no tag \"moduleId\" or 'moduleId', received moduleId;"
        " the caller's moduleId is"
    )

    assert Detail("", said).text() == (
        "--since is before --until and has no tag \"moduleId\" or 'moduleId', got moduleId;"
        " the caller's --module is"
    )


def test_a_field_is_named_by_the_option_that_was_typed() -> None:
    remember({"path_prefix": "/slow/", "state": Path()})
    details = [
        Detail("/components/0/pathPrefix", "expected a path, received /slow/"),
        Detail("/components/0/port", "expected a port, received 0"),
    ]

    shown = Failure(
        "/components/0/pathPrefix: expected a path, received /slow/ (and 1 more)",
        ExitCode.REFUSED,
        details=details,
    ).lines()

    assert shown[:3] == [
        "error: the request has 2 mistakes",
        "  - --path-prefix: expected a path, got /slow/",
        "  - components[0].port: expected a port, got 0",
    ]


def test_a_secret_that_nobody_typed_is_the_one_of_the_message() -> None:
    message = str(BindingExists("db-password", "module-web", "sec-1", []))

    remedy = remedy_for("BindingExists", message, ExitCode.CONFLICT)

    assert "`runtimectl secret revoke db-password --env <name> --module module-web`" in remedy
