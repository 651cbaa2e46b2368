"""The life of a host: what keeps it from starting, and what stopping does not leave behind."""

import logging
from collections.abc import Sequence
from pathlib import Path

import azure.functions as func
import pytest

from local_host.apps.app_folders import apps_in, take_settings, topology_for
from local_host.apps.configuration import ConfigurationRefused
from local_host.host import Host, HostSettings
from local_host.model import App, Extension, HostContext, IndexedFunction
from local_host.state_lock import StateInUse
from shared.composition.embedded import installed_host
from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.virtual_time import LoopClock, run_virtual


def one_route() -> func.FunctionApp:
    app = new_app()

    @app.route("x")
    async def f(req: func.HttpRequest) -> str:
        return "x"

    return app


def bad_http(**http: str) -> dict[str, object]:
    return {"version": "2.0", "extensions": {"http": http}}


async def test_a_second_host_on_one_folder_is_refused_until_the_first_has_stopped(
    tmp_path: Path,
) -> None:
    settings = HostSettings(environ={})
    first, second, third = (
        Host([embedded(one_route())], settings, folder=tmp_path) for _ in range(3)
    )
    await first.start()
    with pytest.raises(StateInUse, match=r"in use by the host with process id \d+"):
        await second.start()
    await first.stop()

    await third.start()

    assert (await ask(third, "GET", "/x")).body == b"x"
    await third.stop()


async def test_a_host_that_could_not_start_leaves_its_port_and_folder_free(tmp_path: Path) -> None:
    def failing(context: HostContext, functions: Sequence[IndexedFunction]) -> Extension:
        raise ConfigurationRefused("no")

    broken = Host(
        [embedded(one_route())],
        HostSettings(port=0, environ={}),
        folder=tmp_path,
        extensions=[failing],
    )
    with pytest.raises(ConfigurationRefused):
        await broken.start()

    sound = Host([embedded(one_route())], HostSettings(environ={}), folder=tmp_path)
    await sound.start()
    await sound.stop()


def test_a_setting_that_cannot_be_read_costs_its_app() -> None:
    broken = embedded(one_route(), "broken", host_json=bad_http(maxOutstandingRequests="many"))

    async def main() -> None:
        async with hosting(broken, embedded(new_app(), "sound")) as host:
            assert "maxOutstandingRequests is 'many'; write a whole number" in str(
                host.apps[0].problem
            )
            assert host.functions == []

    run_virtual(main())


def test_a_timeout_that_cannot_be_read_costs_the_functions_of_its_app() -> None:
    broken = embedded(one_route(), host_json={"version": "2.0", "functionTimeout": "soon"})

    async def main() -> None:
        async with hosting(broken) as host:
            assert "functionTimeout is 'soon'" in host.apps[0].refusals[0].reason

    run_virtual(main())


def test_apps_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="distinct names, got a, a"):
        Host([App("a"), App("a")], folder=tmp_path)


async def test_what_still_runs_after_the_port_is_closed_is_given_the_hosts_url(
    tmp_path: Path,
) -> None:
    urls: list[str] = []

    def late(context: HostContext, _functions: Sequence[IndexedFunction]) -> Extension:
        class Part:
            async def start(self) -> None: ...

            async def stop(self) -> None:
                urls.append(context.base_url())

        return Extension(listener=Part())

    host = Host(
        [embedded(one_route())],
        HostSettings(port=0, environ={}),
        folder=tmp_path,
        extensions=[late],
    )
    await host.start()
    url = host.base_url
    await host.stop()

    assert urls == [url]


def test_a_part_that_fails_to_stop_does_not_keep_the_others_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stopped: list[str] = []

    class Part:
        def __init__(self, name: str) -> None:
            self._name = name

        async def start(self) -> None: ...

        async def stop(self) -> None:
            stopped.append(self._name)
            if self._name == "second":
                raise RuntimeError("stuck")

    parts = [
        lambda _context, _functions, name=name: Extension(listener=Part(name))
        for name in ("first", "second")
    ]

    async def main() -> None:
        async with hosting(embedded(new_app()), extensions=parts):
            pass

    with caplog.at_level(logging.ERROR):
        run_virtual(main())

    assert stopped == ["second", "first"]
    assert "stuck" in caplog.text


def test_apps_are_offered_the_hosts_parts_before_they_are_imported(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(
        "import azure.functions as func\n"
        "from shared.composition.embedded import installed_host\n"
        "app = func.FunctionApp()\n"
        "CLOCK = installed_host().clock\n"
        "@app.route('x', auth_level='anonymous')\n"
        "async def f(req: func.HttpRequest) -> str:\n"
        "    return type(CLOCK).__name__\n"
    )

    async def main() -> None:
        async with hosting(App("one", tmp_path)) as host:
            assert (await ask(host, "GET", "/api/x")).body == LoopClock.__name__.encode()
            offered = installed_host()
            assert offered is not None
            assert offered.storage.store("runtime", "c") is offered.storage.store("runtime", "c")

    run_virtual(main())


def test_values_become_environment_variables_that_are_not_set_already(tmp_path: Path) -> None:
    for name, value in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "local.settings.json").write_text(
            f'{{"Values": {{"SHARED": "{value}", "ONLY_{name}": "{name}", "SET": "file"}}}}'
        )
    environ = {"SET": "before"}

    notes = take_settings(apps_in([tmp_path / "a", tmp_path / "b"]), environ)

    assert environ == {"SET": "before", "SHARED": "1", "ONLY_a": "a", "ONLY_b": "b"}
    assert [note.split(" differs")[0] for note in notes] == ["SHARED of b"]


def test_folders_of_one_name_become_apps_of_two(tmp_path: Path) -> None:
    folders = [tmp_path / "x" / "my app", tmp_path / "y" / "my app"]
    for folder in folders:
        folder.mkdir(parents=True)

    assert [app.name for app in apps_in(folders)] == ["my-app", "my-app-2"]


@pytest.mark.parametrize(
    ("files", "subscribers"),
    [
        (["shared/composition/embedded.py", "function_apps/health/function_app.py"], {"health"}),
        (["shared/composition/embedded.py"], set()),
        (["function_apps/health/function_app.py"], set()),
    ],
    ids=["a-packaged-service", "no-service", "another-platform"],
)
def test_a_folder_of_this_platform_gets_the_entities_of_its_services(
    tmp_path: Path, files: list[str], subscribers: set[str]
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    topology = topology_for([App("one", tmp_path)], None)

    assert {s.name for topic in topology.topics for s in topic.subscriptions} == subscribers


def test_declared_entities_win(tmp_path: Path) -> None:
    declared = tmp_path / "Config.json"
    declared.write_text(
        '{"UserConfig": {"Namespaces": [{"Name": "n", "Queues": [{"Name": "orders"}]}]}}'
    )

    topology = topology_for([App("one", tmp_path)], declared)

    assert [queue.name for queue in topology.queues] == ["orders"]
