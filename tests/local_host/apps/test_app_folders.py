"""Apps in folders: each imports its own modules, and one that cannot be indexed stops no other."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from local_host.model import App
from tests.kit.hosting import ask, hosting
from tests.kit.virtual_time import run_virtual

APP = """
    import azure.functions as func
    import names
    from inner import deep

    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.function_name("{name}")
    @app.route("{name}")
    async def answer(req: func.HttpRequest) -> str:
        import late
        from inner.later import WORD
        return " ".join([names.NAME, deep.NAME, late.NAME, WORD])
"""


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        if not name.startswith(("azure", "werkzeug")):
            del sys.modules[name]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def app_folder(parent: Path, name: str, source: str = APP, **files: str) -> App:
    folder = write(
        parent / name,
        {
            "function_app.py": source.format(name=name),
            "host.json": '{"version": "2.0"}',
            "names.py": f"NAME = '{name}'",
            "late.py": f"NAME = 'late-{name}'",
            "inner/__init__.py": "",
            "inner/deep.py": f"from . import later\nNAME = 'deep-{name}'",
            "inner/later.py": f"WORD = 'later-{name}'",
            **files,
        },
    )
    return App(name, folder)


def test_nine_folders_with_equal_module_names_run_in_one_process(tmp_path: Path) -> None:
    apps = [app_folder(tmp_path, f"app{number}") for number in range(9)]

    async def main() -> None:
        async with hosting(*apps) as host:
            for app in apps:
                answer = await ask(host, "GET", f"/api/{app.name}")
                assert answer.body.decode() == (
                    f"{app.name} deep-{app.name} late-{app.name} later-{app.name}"
                )

    run_virtual(main())


def test_the_working_directory_is_the_apps_while_it_is_imported(tmp_path: Path) -> None:
    source = """
        import pathlib
        import azure.functions as func
        app = func.FunctionApp()
        HERE = pathlib.Path("names.py").read_text()

        @app.route("x", auth_level="anonymous")
        async def f(req: func.HttpRequest) -> str:
            return HERE
    """
    before = Path.cwd()

    async def main() -> bytes:
        async with hosting(app_folder(tmp_path, "one", source)) as host:
            return (await ask(host, "GET", "/api/x")).body

    assert run_virtual(main()) == b"NAME = 'one'"
    assert Path.cwd() == before


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("x = 1", "defines no app", id="no-app"),
        pytest.param(
            "import azure.functions as func\napp = func.FunctionApp()\nother = app",
            "2 names for an app (app, other): keep one",
            id="two-names-for-one-app",
        ),
        pytest.param("import nothing_like_it", "ModuleNotFoundError", id="an-import-fails"),
        pytest.param("def f(:", "SyntaxError", id="no-python"),
        pytest.param("raise SystemError('no')", "SystemError: no", id="it-raises"),
        pytest.param(
            "import azure.functions as func\napp = func.FunctionApp()\n"
            "@app.function_name('f')\ndef f(): ...",
            "does not have a trigger",
            id="no-trigger",
        ),
    ],
)
def test_an_app_that_cannot_be_indexed_is_404_and_the_rest_runs(
    tmp_path: Path, source: str, said: str
) -> None:
    broken = App("broken", write(tmp_path / "broken", {"function_app.py": source}))
    sound = app_folder(tmp_path, "sound")

    async def main() -> None:
        async with hosting(broken, sound) as host:
            assert said in str(host.apps[0].problem)
            assert (await ask(host, "GET", "/api/f")).status == 404
            assert (await ask(host, "GET", "/api/sound")).status == 200

    run_virtual(main())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"host.json": "{"}, "is not JSON"),
        ({"host.json": "[]"}, "must hold a JSON object"),
        ({"host.json": '{"version": "1.0"}'}, 'write "version": "2.0"'),
        ({"local.settings.json": '{"Values": {"A": 1}}'}, "put A in quotes"),
        ({"local.settings.json": '{"IsEncrypted": true}'}, "func settings decrypt"),
        ({"local.settings.json": '{"Values": []}'}, "must be objects"),
    ],
    ids=["host-no-json", "host-no-object", "version", "value-no-text", "encrypted", "no-object"],
)
def test_a_settings_file_that_cannot_be_used_costs_the_app(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    app = app_folder(tmp_path, "one", **files)

    async def main() -> str:
        async with hosting(app) as host:
            return str(host.apps[0].problem)

    assert said in run_virtual(main())


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    async def main() -> str:
        async with hosting(App("none", tmp_path)) as host:
            return str(host.apps[0].problem)

    assert "function_app.py does not exist" in run_virtual(main())


def test_a_second_function_of_one_name_in_a_host_does_not_run(tmp_path: Path) -> None:
    source = APP.replace("{name}", "same")
    first, second = (app_folder(tmp_path, name, source) for name in ("first", "second"))

    async def main() -> None:
        async with hosting(first, second) as host:
            assert "app first has a function of this name" in host.apps[1].refusals[0].reason
            assert (await ask(host, "GET", "/api/same")).body.startswith(b"first")

    run_virtual(main())


def test_settings_come_from_the_environment_then_from_the_file(tmp_path: Path) -> None:
    settings = {"Values": {"WHERE": "file", "ONLY": "file"}, "ConnectionStrings": {"Db": "text"}}
    app = app_folder(
        tmp_path,
        "one",
        **{"local.settings.json": f"// a comment\n{json.dumps(settings)}", "host.json": "{}"},
    )
    app.folder and (app.folder / "host.json").write_text('{"version": "2.0"}')

    async def main() -> None:
        environ = {
            "WHERE": "environment",
            "AzureFunctionsJobHost__extensions__http__routePrefix": "p",
        }
        async with hosting(app, environ=environ) as host:
            settings = host.apps[0].configuration
            assert (settings.values["WHERE"], settings.values["ONLY"]) == ("environment", "file")
            connection = settings.connection("Db", "")
            assert connection is not None
            assert connection.text == "text"
            assert (await ask(host, "GET", "/p/one")).status == 200

    run_virtual(main())
