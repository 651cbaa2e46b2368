import stat
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.main import main
from cli.session import Session, read_login
from cli.state_folder import state_folder_at, write_private
from shared.kernel.clock import isoformat
from tests.cli.small_platform import ENVIRONMENT, platform
from tests.kit.stores import HandClock
from tests.kit.virtual_time import EPOCH


def test_the_token_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    main(["login", "--dev", "--state", str(tmp_path), "--tenant", "tenant-a", "--user", "ada"])

    folder = state_folder_at(tmp_path)
    assert stat.S_IMODE(folder.token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.private.stat().st_mode) == 0o700


def test_the_token_says_who_and_for_which_tenant(tmp_path: Path) -> None:
    line = ["login", "--dev", "--tenant", "tenant-a", "--user", "ada", "--role", "Runtime.Read"]
    main([*line, "--state", str(tmp_path)])

    login = read_login(state_folder_at(tmp_path))
    assert login is not None
    claims = jwt.decode(login.token, options={"verify_signature": False})
    assert (claims["sub"], claims["tenantId"]) == ("ada", "tenant-a")
    assert claims["roles"] == ["Runtime.Read"]


def test_a_role_that_does_not_exist_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["login", "--dev", "--role", "Root", "--state", str(tmp_path)])

    assert code == ExitCode.USAGE
    assert "Runtime.Admin" in capsys.readouterr().err


def test_a_tenant_that_cannot_be_one_leaves_the_login_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["login", "--dev", "--tenant", "tenant-a", "--state", str(tmp_path)])
    before = read_login(state_folder_at(tmp_path))

    code = main(["login", "--dev", "--tenant", "Bad Tenant", "--state", str(tmp_path)])

    assert code == ExitCode.USAGE
    assert "--tenant tenant-dev" in capsys.readouterr().err
    assert read_login(state_folder_at(tmp_path)) == before


@pytest.mark.parametrize("url", ["localhost:7071", "http://127.0.0.1:99999", "http://"])
def test_an_address_that_is_none_is_a_usage_error(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNTIMECTL_URL", url)
    monkeypatch.setenv("RUNTIMECTL_TOKEN", "a-token")

    code = main(["status"])

    assert code == ExitCode.USAGE
    assert "RUNTIMECTL_URL=http://127.0.0.1:7071" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("life", "is_refused"),
    [(timedelta(0), True), (timedelta(seconds=1), False)],
    ids=["the-last-instant-is-over", "a-second-is-left"],
)
def test_an_expired_token_says_how_to_log_in_again(
    tmp_path: Path, life: timedelta, *, is_refused: bool
) -> None:
    folder = state_folder_at(tmp_path)
    folder.create()
    write_private(folder.host_file, {"url": "http://127.0.0.1:9"})
    expires_at = isoformat(EPOCH + life)
    login = {"token": "t", "tenant": "tenant-a", "user": "ada", "roles": []}
    write_private(folder.token_file, {**login, "expiresAt": expires_at})

    failure = _failure(Session(tmp_path, HandClock()))

    assert (failure is not None) is is_refused
    if failure is not None:
        assert failure.exit_code is ExitCode.NOT_LOGGED_IN
        assert "runtimectl login --dev --tenant tenant-a --user ada" in failure.remedy


def _failure(session: Session) -> Failure | None:
    try:
        assert session.client
    except Failure as failed:
        return failed
    return None


@pytest.mark.real
def test_a_token_of_a_workload_is_for_one_module_and_for_the_users_eyes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state, file = tmp_path / "state", tmp_path / "token"
    main(["login", "--dev", "--tenant", "acme", "--state", str(state)])
    with platform({}) as server:
        write_private(state_folder_at(state).host_file, {"url": server.url})
        monkeypatch.delenv("RUNTIMECTL_URL", raising=False)
        monkeypatch.delenv("RUNTIMECTL_TOKEN", raising=False)
        line = ["config", "token", "-e", "test", "-m", "module-shop", "--to", str(file)]
        code = main([*line, "--state", str(state)])

    assert code == 0, capsys.readouterr().err
    claims = jwt.decode(file.read_text(), options={"verify_signature": False})
    assert claims["workload"] == {"environmentId": ENVIRONMENT, "moduleId": "module-shop"}
    assert claims["tenantId"] == "acme"
    assert "roles" not in claims
    assert file.stat().st_mode & 0o777 == 0o600
