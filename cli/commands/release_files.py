"""`init` and `validate`: write a release file, and check one; both need no running system."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Invocation
from cli.output import Column, note, warn
from cli.parameter_types import command_words, module_id
from cli.release_check import check_release
from cli.release_sections import take_sections
from cli.release_template import TEMPLATE
from cli.yaml_files import load_yaml

_COLUMNS = (
    Column("MODULE", "moduleId"),
    Column("VERSION", "version"),
    Column("TYPE", "componentType"),
    Column("PORT", "port"),
    Column("PATH", "pathPrefix"),
)


def init(
    invocation: Invocation,
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("release.yaml"),
    module: Annotated[
        str, typer.Option("--module", "-m", help="module-<slug>.", parser=module_id)
    ] = "module-shop",
    version: Annotated[str, typer.Option(help="Version of the module.")] = "1.0.0",
    artifact: Annotated[str, typer.Option(help="Digest or archive.")] = "build/shop.zip",
    command: Annotated[str, typer.Option(help="How it starts.")] = "python3 serve.py $PORT",
    port: Annotated[int, typer.Option(help="Its port.", min=1, max=65_535)] = 8080,
    readiness: Annotated[str, typer.Option(help="Path that answers 200.")] = "/",
) -> None:
    """Write a release file with comments that say what else there is."""
    text = TEMPLATE.format(
        module=module,
        slug=module.removeprefix("module-"),
        version=version,
        artifact=json.dumps(artifact),
        command=json.dumps(command_words(command)),
        port=port,
        readiness=json.dumps(readiness),
        file=file,
    )
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError as refused:
        raise Failure(
            f"{file} is there already, and stays as it is",
            ExitCode.USAGE,
            remedy="name another file: `runtimectl init other.yaml`",
        ) from refused
    except OSError as refused:
        raise Failure(
            f"{file} cannot be written: {refused.strerror}",
            ExitCode.USAGE,
            remedy="name another file: `runtimectl init other.yaml`",
        ) from refused
    invocation.show({"file": str(file), "module": module, "version": version})
    note(f"next:  runtimectl validate -f {file}")


def validate(
    invocation: Invocation,
    file: Annotated[Path, typer.Option("-f", "--file", help="Release file.", show_default=False)],
) -> None:
    """Check a release file by itself; `deploy --dry-run` also asks the environment."""
    body = load_yaml(file)
    sections = take_sections(body, file)
    for warning in check_release(body, file, sections, is_whole=False):
        warn(warning)
    invocation.show(body.get("components", []), _COLUMNS, empty="it only removes modules")
    for layer in sections.layers:
        of = layer.said.get("module") or layer.kind
        note(f"configuration: {of}: {len(layer.values)} keys, published before if they differ")
    for secret in sections.secrets:
        note(
            f"secret: {secret['secretName']} of {secret['moduleId']} as {secret['target']}, "
            "bound before if it is not"
        )
