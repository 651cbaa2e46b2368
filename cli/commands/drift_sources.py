"""`drift source`: the repositories that say what environments are to run."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from cli.lookup import environment_id, environment_names, with_environment
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
    if not source["syncedAt"]:
        return "not fetched yet"
    unread = [each for each in _environments(source) if each["reasons"]]
    return "; ".join(["read", *map(_not_read, unread)])


def _environments(source: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return what *source* says of each environment; an older system says nothing."""
    environments: Sequence[Mapping[str, Any]] = source.get("environments", ())
    return environments


def _not_read(environment: Mapping[str, Any]) -> str:
    """Return that an environment has nothing there, or how much of it could not be read."""
    from shared.contracts.drift import SOURCE_REASONS_MAX  # noqa: PLC0415  slow to import

    counts = Counter(reason["code"] for reason in environment["reasons"])
    if "NoManifests" in counts:
        return f"nothing for {environment['environment']}"
    texts = ", ".join(f"{count} {code}" for code, count in counts.items())
    least = "at least " if counts.total() >= SOURCE_REASONS_MAX else ""
    return f"{least}{texts} of {environment['environment']}"


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
    str,
    typer.Argument(
        metavar="SOURCE", show_default=False, parser=_source_id, help="Its id, of `source list`."
    ),
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
    _show_all(sources, invocation)


@app.command("show")
def show_(source: SourceArgument, invocation: Invocation) -> None:
    """Show one: its environments, its webhook, and why it could not be read."""
    invocation.show(invocation.client.get(f"{_SOURCES}/{source}").body)


@app.command()
def remove(source: SourceArgument, invocation: Invocation) -> None:
    """Compare with a repository no more; the findings of it end."""
    _show(invocation.client.write("DELETE", f"{_SOURCES}/{source}").body, invocation)


def _show(source: Mapping[str, Any], invocation: Invocation) -> None:
    if invocation.is_table:
        _show_all([source], invocation)
    else:
        invocation.show(source)


def _show_all(sources: Sequence[Mapping[str, Any]], invocation: Invocation) -> None:
    """Show *sources*, in a table with the names of their environments."""
    if invocation.is_table and sources:
        names = environment_names(invocation.client)
        sources = [
            source
            | {"environments": [with_environment(each, names) for each in _environments(source)]}
            for source in map(dict, sources)
        ]
    invocation.show(sources, _COLUMNS, empty="no environment is compared with Git")
