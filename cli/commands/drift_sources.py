"""`drift source`: the repositories that say what environments are to run."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from cli.lookup import environment_id
from cli.options import Commands, Invocation
from cli.output import Column, note
from shared.kernel.ids import id_shape

app = Commands(help="Git repositories that say what environments are to run.")
_SOURCES: Final = "/v1/runtime/git-sources"


def _state(source: Mapping[str, Any]) -> str:
    """Return what became of the last fetch."""
    reason = source["reason"]
    if reason is not None:
        return f"{reason['code']} since {source['staleSince']}"
    return "read" if source["syncedAt"] else "not fetched yet"


_COLUMNS: Final = (
    Column("REPOSITORY", "repository"),
    Column("BRANCH", "branch"),
    Column("PATH", lambda source: source["path"] or "/"),
    Column("COMMIT", lambda source: (source["commit"] or "-")[:12]),
    Column("STATE", _state),
    Column("ID", "sourceId"),
)
_SOURCE_ID: Final = re.compile(id_shape("gs"))


def _source_id(text: str) -> str:
    """Return the id of a source, which has no other name here."""
    if _SOURCE_ID.fullmatch(text):
        return text
    raise typer.BadParameter(
        f"expected the id of a source, such as gs-w5ekllr23tyb-abcdefghijkl, got {text!r}; see the"
        " ids: `runtimectl drift source list`"
    )


SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", show_default=False, parser=_source_id)
]


@app.command()
def add(
    repository: Annotated[str, typer.Argument(metavar="URL", show_default=False)],
    env: Annotated[
        list[str], typer.Option("--env", "-e", help="An environment of it; may be repeated.")
    ],
    invocation: Invocation,
    *,
    branch: Annotated[str, typer.Option(help="The branch to follow.")] = "main",
    path: Annotated[
        str, typer.Option(help="The folder that has a folder for each environment, by its name.")
    ] = "",
    credential: Annotated[
        str | None,
        typer.Option(help="The secret `git-…` in its first environment: `https://token@host`."),
    ] = None,
    webhook_secret: Annotated[
        str | None,
        typer.Option(help="The secret `git-…` there that signs webhooks; without it, none."),
    ] = None,
    every: Annotated[str, typer.Option(help="How often it is fetched besides.")] = "PT5M",
) -> None:
    """Compare environments with a repository from now on."""
    client = invocation.client
    source = client.write(
        "POST",
        _SOURCES,
        {
            "repository": repository,
            "branch": branch,
            "path": path,
            "environmentIds": [environment_id(client, name) for name in env],
            "credentialRef": credential,
            "webhookSecretRef": webhook_secret,
            "every": every,
        },
    ).body
    _show(source, invocation)
    if webhook_secret:
        note(f"have the repository send pushes to {source['webhook']}, below this API's address")


@app.command("list")
def list_(invocation: Invocation) -> None:
    """List the repositories, with the commit of each that is compared."""
    sources = list(invocation.client.list_all(_SOURCES))
    invocation.show(sources, _COLUMNS, empty="no environment is compared with Git")


@app.command("show")
def show_(source: SourceArgument, invocation: Invocation) -> None:
    """Show one: its environments, its webhook, and why it could not be read."""
    invocation.show(invocation.client.get(f"{_SOURCES}/{source}").body)


@app.command()
def remove(source: SourceArgument, invocation: Invocation) -> None:
    """Compare with a repository no more; the findings of it end."""
    _show(invocation.client.write("DELETE", f"{_SOURCES}/{source}").body, invocation)


def _show(source: Mapping[str, Any], invocation: Invocation) -> None:
    invocation.show([source] if invocation.is_table else source, _COLUMNS)
