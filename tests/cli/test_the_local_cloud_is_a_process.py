"""`cloud up`, `status`, `settings` and `down`: the local cloud as a process of its own."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import MessagingEntityNotFoundError

from cli.cloud_process import addresses, app_settings, find_cloud, stop_cloud
from cli.exit_codes import ExitCode
from cli.state_folder import REPOSITORY, StateFolder, state_folder_at
from shared.composition.settings import read_settings
from shared.contracts.storage import ARTIFACTS, AUDIT
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.azure_tables import AzureTable
from shared.persistence.cosmos_account import CosmosAccount, string_parts
from shared.persistence.cosmos_store import CosmosStore
from shared.persistence.storage_account import StorageAccount
from shared.persistence.store import Partition, Upsert
from shared.persistence.tables import TableRow
from tests.kit.patience import PATIENCE_S
from tests.kit.real_system import free_port
from tests.kit.removal import remove_in_use
from tests.kit.small_disk import fill, small_disk

pytestmark = pytest.mark.real
PARTITION = Partition("tenant", "environment")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StateFolder]:
    state = state_folder_at(tmp_path / "state")
    yield state
    stop_cloud(state, SystemClock())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateFolder]:
    """The folder of a cloud that runs, for tests that leave it as it is."""
    state = state_folder_at(tmp_path_factory.mktemp("running") / "state")
    assert run(state, "cloud up")[1]["status"] == "ready"
    yield state
    stop_cloud(state, SystemClock())


def run(folder: StateFolder, line: str) -> tuple[int, Any]:
    """Return the exit code of *line*, and what it says."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", *line.split(), "-o", "json"],
        cwd=REPOSITORY, env={**os.environ, "RUNTIMECTL_STATE": str(folder.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ended.returncode, json.loads(ended.stdout or ended.stderr)


def account(folder: StateFolder) -> CosmosAccount:
    """Return the account that the settings for an app name."""
    _, printed = run(folder, "cloud settings")
    named = read_settings(printed["Values"]).cosmos
    assert named is not None
    endpoint, key = string_parts(named.get_secret_value())
    return CosmosAccount(endpoint, key=key)


async def test_documents_outlive_the_process(folder: StateFolder) -> None:
    assert run(folder, "cloud up")[1]["status"] == "ready"
    before = account(folder)
    await CosmosStore(before, "runtime", "catalog").batch(PARTITION, [Upsert("one", {"n": 1})])
    await before.close()
    run(folder, "cloud down")
    run(folder, "cloud up")

    after = account(folder)
    document = await CosmosStore(after, "runtime", "catalog").read(PARTITION, "one")
    await after.close()

    assert document is not None
    assert document.body == {"n": 1}


@pytest.mark.long
def test_a_second_up_shows_the_cloud_that_runs(running: StateFolder) -> None:
    _, second = run(running, "cloud up")
    _, third = run(running, "cloud up")

    cloud = find_cloud(running)
    assert cloud is not None
    assert second["pid"] == cloud.pid
    assert second == third
    assert second["status"] == "was running already"


BROKER = {"UserConfig": {"Namespaces": [{"Name": "shop", "Queues": [{"Name": "orders"}]}]}}


@pytest.mark.long
def test_the_queues_of_another_application_are_declared_and_stay(
    folder: StateFolder, tmp_path: Path
) -> None:
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    declared = tmp_path / "Config.json"
    declared.write_text(json.dumps(BROKER))

    assert run(folder, f"cloud up --broker {declared}")[0] == 0
    running, said = run(folder, f"cloud up --broker {declared}")
    run(folder, "cloud down")
    run(folder, "cloud up")

    assert running == ExitCode.CONFLICT
    assert "--broker" in said["error"]["message"]
    connection = run(folder, "cloud settings")[1]["Values"]["ServiceBus"]
    with ServiceBusClient.from_connection_string(connection) as client:
        with client.get_queue_sender("orders") as sender:
            sender.send_messages(ServiceBusMessage("first"))
        with client.get_queue_receiver("orders") as receiver:
            (received,) = receiver.receive_messages(1, max_wait_time=PATIENCE_S)
            assert str(received) == "first"
        with (
            pytest.raises(MessagingEntityNotFoundError, match="of a like name: orders"),
            client.get_queue_sender("orderz") as sender,
        ):
            sender.send_messages(ServiceBusMessage("lost"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("[]", "UserConfig.Namespaces: expected a list", id="another-form"),
        pytest.param(
            json.dumps(BROKER).replace("orders", "runtime-catalog-commands"),
            "declared twice: runtime-catalog-commands",
            id="a-name-of-the-platform",
        ),
    ],
)
def test_a_declaration_that_cannot_be_used_is_named(
    folder: StateFolder, tmp_path: Path, content: str, reason: str
) -> None:
    declared = tmp_path / "Config.json"
    declared.write_text(content)

    code, said = run(folder, f"cloud up --broker {declared}")

    assert code == ExitCode.UNAVAILABLE
    assert f"--broker {declared}" in said["error"]["message"]
    assert reason in said["error"]["message"]
    assert "Traceback" not in said["error"]["message"]


@pytest.mark.long
def test_a_running_cloud_is_not_moved_to_another_port(running: StateFolder) -> None:
    at = addresses(running)["Cosmos DB"].rstrip("/").rpartition(":")[2]

    same, _ = run(running, f"cloud up --cosmos-port {at}")
    other, said = run(running, f"cloud up --cosmos-port {free_port()}")

    assert (same, other) == (0, ExitCode.CONFLICT)
    assert "another port of Cosmos DB" in said["error"]["message"]


@pytest.mark.long
def test_a_system_that_does_not_start_leaves_no_cloud_and_its_folder_of_one_kind(
    folder: StateFolder,
) -> None:
    pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = other.getsockname()[1]
        failed, said = run(folder, f"up --processes-per-app 1 --port {taken}")
    kept = app_settings(folder)
    refused, _ = run(folder, "up --processes-per-app 0 --port 0")

    assert failed == ExitCode.CONFLICT
    assert "is in use" in said["error"]["message"]
    assert kept is not None  # a cloud was there
    assert find_cloud(folder) is None
    assert refused == ExitCode.CONFLICT


def test_a_cloud_ends_when_its_folder_is_removed(folder: StateFolder) -> None:
    code, shown = run(folder, "cloud up")
    assert code == 0, shown
    process = psutil.Process(shown["pid"])

    remove_in_use(folder.cloud)

    psutil.wait_procs([process], timeout=PATIENCE_S)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.long
def test_what_it_keeps_is_its_owners_and_its_log_goes_on(folder: StateFolder) -> None:
    folder.create()
    folder.cloud.mkdir(mode=0o755)  # somebody made it

    run(folder, "cloud up")
    run(folder, "cloud down")
    run(folder, "cloud up")

    open_to_others = [
        path
        for path in folder.cloud.rglob("*")
        if path.lstat().st_mode & 0o077 and not path.is_symlink()
    ]
    assert open_to_others == []
    log = (folder.cloud / "cloud.log").read_text()
    assert log.count("local cloud ready") == 2


def test_of_two_that_start_it_at_once_both_get_the_one_cloud(folder: StateFolder) -> None:
    with ThreadPoolExecutor(2) as both:
        started = [both.submit(run, folder, "cloud up") for _ in range(2)]
    ended = [each.result() for each in started]

    assert [code for code, _ in ended] == [0, 0]
    assert {shown["status"] for _, shown in ended} == {"ready", "was running already"}
    assert len({shown["pid"] for _, shown in ended}) == 1


@pytest.mark.long
def test_after_down_nothing_runs(folder: StateFolder) -> None:
    _, up = run(folder, "cloud up")
    _, down = run(folder, "cloud down")

    assert down == {"cloud": f"stopped (pid {up['pid']})"}
    assert find_cloud(folder) is None
    assert run(folder, "cloud status")[1]["status"] == "does not run"


def test_status_says_where_each_service_is_and_that_it_answers(running: StateFolder) -> None:
    _, shown = run(running, "cloud status")

    served = {name: text for name, text in shown.items() if name[0].isupper() or name == "tokens"}
    assert {"Cosmos DB", "Cosmos DB by identity", "Key Vault", "tokens"} <= set(served)
    assert all(re.fullmatch(r"\w+://\S+:\d+\S* answers", text) for text in served.values())


@pytest.mark.long
def test_a_cloud_that_hangs_is_not_said_to_be_ready(running: StateFolder) -> None:
    pid = run(running, "cloud up")[1]["pid"]
    started_s = SystemClock().monotonic_s()
    run(running, "cloud status")
    usual_s = SystemClock().monotonic_s() - started_s
    os.kill(pid, signal.SIGSTOP)
    try:
        started_s = SystemClock().monotonic_s()
        _, shown = run(running, "cloud status")
        took_s = SystemClock().monotonic_s() - started_s
    finally:
        os.kill(pid, signal.SIGCONT)

    assert shown["status"] == "runs, and does not answer at every port"
    assert shown["Key Vault"].endswith(" does not answer")
    assert took_s < 2 * usual_s + 15  # 2 for all at once; one by one 20


@pytest.mark.long
def test_the_settings_of_an_app_and_whom_it_trusts_outlive_the_process(folder: StateFolder) -> None:
    run(folder, "cloud up")
    before = run(folder, "cloud settings --app catalog")[1]["Values"]
    authority = Path(before["RUNTIME_CA_FILE"]).read_bytes()
    run(folder, "cloud down")
    run(folder, "cloud up")
    after = run(folder, "cloud settings --app catalog")[1]["Values"]

    assert after == before  # the ports too
    assert Path(after["RUNTIME_CA_FILE"]).read_bytes() == authority


@pytest.mark.long
def test_a_port_where_running_apps_look_is_not_exchanged_silently(folder: StateFolder) -> None:
    run(folder, "cloud up")
    run(folder, "cloud down")
    last = addresses(folder)["Key Vault"]
    port = int(last.rpartition(":")[2])

    with closing(socket.create_server(("127.0.0.1", port))):
        code, said = run(folder, "cloud up")
        other, moved = run(folder, f"cloud up --key-vault-port {free_port()}")

    assert code == 6
    assert (
        f"cannot serve Key Vault on port {port}: Address already in use"
        in (said["error"]["message"])
    )
    assert "choose another with --key-vault-port" in said["error"]["message"]
    assert (other, moved["status"]) == (0, "ready")


@pytest.mark.long
def test_the_settings_of_an_app_have_no_key(running: StateFolder) -> None:
    values = run(running, "cloud settings --app catalog")[1]["Values"]
    code, refused = run(running, "cloud settings --app nobody")

    assert values["CosmosDB__accountEndpoint"].startswith("https://localhost:")
    assert not {"CosmosDB", "ServiceBus", "Storage"} & set(values)
    assert "Key=" not in json.dumps(values)
    assert read_settings(values).vault == values["KeyVault__vaultUri"]
    assert (code, refused["error"]["message"]) == (2, "the local cloud has no identity 'nobody'")


@pytest.mark.long
async def test_tables_and_blobs_are_at_the_ports_that_were_chosen(folder: StateFolder) -> None:
    blob_port, table_port = free_port(), free_port()
    run(folder, f"cloud up --blob-port {blob_port} --table-port {table_port}")

    values = run(folder, "cloud settings")[1]["Values"]
    shown = dict(part.split("=", 1) for part in values["Storage"].strip(";").split(";"))
    account = StorageAccount(connection_string=values["Storage"])
    await AzureTable(account, AUDIT).insert([TableRow("p", "1", {"n": 1})])
    listed = await AzureBlobs(account, ARTIFACTS, SystemEntropy()).list_stored("")
    await account.close()

    assert shown["AccountName"] == "devstoreaccount1"
    assert shown["BlobEndpoint"] == f"http://127.0.0.1:{blob_port}/devstoreaccount1"
    assert shown["TableEndpoint"] == f"http://127.0.0.1:{table_port}/devstoreaccount1"
    assert values["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
    assert listed == []


@pytest.mark.long
def test_a_lost_key_of_the_vault_is_named(folder: StateFolder) -> None:
    run(folder, "cloud up")
    run(folder, "cloud down")
    (folder.cloud / "vaults" / "vault.key").unlink()

    code, said = run(folder, "cloud up")

    assert code == 6
    assert "the key of the vaults is lost: restore" in said["error"]["message"]


@pytest.mark.long
def test_a_state_folder_that_cannot_be_used_is_named(folder: StateFolder) -> None:
    (folder.cloud / "certificates" / "server.pem").mkdir(parents=True)

    code, said = run(folder, "cloud up")

    assert code == 6
    assert f"{folder.cloud} cannot be used: Is a directory" in said["error"]["message"]


@pytest.mark.long
def test_a_cloud_whose_databases_are_gone_says_that_it_starts_empty(folder: StateFolder) -> None:
    run(folder, "cloud up")
    first = (folder.cloud / "cloud.log").read_text()
    run(folder, "cloud down")
    shutil.rmtree(folder.cloud / "databases")

    code, _ = run(folder, "cloud up")

    emptied = "its databases are gone: this one starts empty"
    assert code == 0
    assert emptied not in first
    assert emptied in (folder.cloud / "cloud.log").read_text()


@pytest.mark.parametrize("line", ["cloud up", "up --port 0"])
def test_a_full_disk_is_named(line: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        state = state_folder_at(disk / "state")
        state.create()
        state.cloud.mkdir()
        fill(disk)

        code, said = run(state, line)

    assert code == 6
    assert "the disk is full" in said["error"]["message"]


def test_without_a_cloud_there_are_no_settings(folder: StateFolder) -> None:
    code, said = run(folder, "cloud settings")

    assert code == 6
    assert said["error"]["message"] == "the local cloud does not run"
