"""`config`: read, change and publish the layers of configuration, and see who runs them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.configuration_edit import edit as edit_layer
from cli.configuration_edit import kept
from cli.configuration_layers import (
    ROOT,
    Content,
    Layer,
    LayerOptions,
    publish,
    write,
)
from cli.configuration_tables import (
    HEAD_COLUMNS,
    LAYER_COLUMN,
    VALUE_COLUMNS,
    VERSION_COLUMNS,
    named,
    show_difference,
    show_published,
    value_row,
)
from cli.configuration_values import parse_assignments, refuse_inner_keys, unfinished
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.layer_check import read_layers
from cli.lookup import environment_id, environment_names
from cli.not_expected import why_nobody
from cli.options import Commands, DryRun, EnvironmentOption, Invocation
from cli.output import format_digest, note, say
from cli.parameter_types import module_id
from cli.publish_layers import (
    LayerChange,
    changes_of,
    publish_change,
    publish_changes,
    say_unchanged,
)
from cli.session import sign_workload_token, write_token
from cli.watch_adoption import COLUMNS as ADOPTION_COLUMNS
from cli.watch_adoption import (
    AdoptionOptions,
    count_words,
    note_behind,
    read_adoption,
    watch_adoption,
)

app = Commands(help="Configuration: versioned values of the tenant, environments and modules.")
_EFFECTIVE: Final = "/v1/runtime/effective-configuration"
_KINDS: Final = ("tenant", "environment", "module")
Comment = Annotated[str, typer.Option("--comment", help="Kept with the version.")]
Draft = Annotated[bool, typer.Option("--draft", help="Keep it as a draft; change nothing yet.")]


@app.command()
def get(
    env: EnvironmentOption,
    module: Annotated[
        str,
        typer.Option("--module", "-m", help="module-<slug>.", parser=module_id, metavar="MODULE"),
    ],
    invocation: Invocation,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="Only these.")
    ] = None,
    *,
    layers: Annotated[
        bool, typer.Option("--layers", help="Which layer gave each value, and their versions.")
    ] = False,
) -> None:
    """Show what a module is given: the merge of its three layers."""
    client = invocation.client
    query = {
        "environmentId": environment_id(client, env),
        "moduleId": module,
        "explain": "true" if layers else None,
    }
    given = client.get(_EFFECTIVE, query).body
    values = {key: given["values"][key] for key in _present(keys, given["values"], module)}
    if not invocation.is_table:
        invocation.show({**given, "values": values})
        return
    rows = [
        value_row(key, value) | {"layer": given["layerOf"].get(key)}
        for key, value in values.items()
    ]
    columns = (*VALUE_COLUMNS, LAYER_COLUMN) if layers else VALUE_COLUMNS
    invocation.show(rows, columns, empty="no layer has a value for it yet")
    if layers:
        versions = (f"{kind} {given[f'{kind}Version']}" for kind in _KINDS)
        say(f"versions: {', '.join(versions)}; hash {format_digest(given['hash'])}")


@app.command("list")
def list_(invocation: Invocation, which: LayerOptions) -> None:
    """List the layers that have a configuration, with their versions."""
    client = invocation.client
    names = environment_names(client)
    query = {
        "environmentId": environment_id(client, which.env),
        "moduleId": which.module,
        "layer": which.layer,
    }
    heads = [named(head, names) for head in client.list_all(ROOT, query)]
    empty = "nothing is configured yet: `runtimectl config set --help`"
    invocation.show(heads, HEAD_COLUMNS, empty=empty)


@app.command()
def show(
    invocation: Invocation,
    which: LayerOptions,
    version: Annotated[
        int | None, typer.Option(help="This one, not the one in force.", min=1)
    ] = None,
) -> None:
    """Show the values of one layer by itself."""
    client = invocation.client
    head = which.find(client).get_head(client)
    number = version or head["version"] or head["draft"]
    body = client.get(f"{ROOT}/{head['configurationId']}/versions/{number}").body
    if not invocation.is_table:
        invocation.show(body)
        return
    rows = [value_row(key, value) for key, value in body["values"].items()]
    invocation.show(rows, VALUE_COLUMNS, empty="it has no values")
    schema = ", with a schema" if body["schema"] else ""
    say(f"version {number}, {body['status']}, by {body['publishedBy']}{schema}")


@app.command("set")
def set_(
    assignments: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE...", help="JSON where it parses, else text."),
    ],
    which: LayerOptions,
    invocation: Invocation,
    *,
    text: Annotated[bool, typer.Option("--text", help="Every value is text.")] = False,
    comment: Comment = "",
    draft: Draft = False,
    dry_run: DryRun = False,
) -> None:
    """Set keys of one layer; its other keys stay."""
    values = parse_assignments(assignments, as_text=text)
    for key in () if text else unfinished(values):
        note(f"{key} is no JSON, and becomes text; --text says that it is meant so")
    client = invocation.client
    layer = which.find(client)
    current = layer.in_force(client)
    refuse_inner_keys(values, current.values or {}, layer.options)
    changed = {**(current.values or {}), **values}
    _publish(
        invocation, layer, current, changed, comment=comment, draft=draft, dryRun=dry_run
    )  # fmt: skip


@app.command()
def unset(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...")],
    which: LayerOptions,
    invocation: Invocation,
    *,
    comment: Comment = "",
    draft: Draft = False,
    dry_run: DryRun = False,
) -> None:
    """Remove keys of one layer; a layer before it may still give them."""
    client = invocation.client
    layer = which.find(client)
    current = layer.in_force(client)
    values = current.values or {}
    gone = _present(keys, values, layer.label)
    rest = {key: value for key, value in values.items() if key not in gone}
    _publish(invocation, layer, current, rest, comment=comment, draft=draft, dryRun=dry_run)


@app.command()
def edit(
    which: LayerOptions,
    invocation: Invocation,
    *,
    comment: Comment = "",
    draft: Draft = False,
) -> None:
    """Edit one layer with $EDITOR and publish it; what is refused is kept in its file."""
    client = invocation.client
    layer = which.find(client)
    current = layer.in_force(client)
    edited = edit_layer(layer, current)
    if edited is None:
        return
    more = {"comment": comment or edited.said.get("comment", ""), "draft": draft}
    try:
        answer = publish_change(LayerChange(edited, layer, current), invocation, **more)
    except Failure as failure:
        raise kept(failure, edited.file) from failure
    edited.file.unlink()
    show_published(invocation, layer, answer)


@app.command()
def diff(
    which: LayerOptions,
    invocation: Invocation,
    before: Annotated[
        int | None, typer.Option("--from", help="This version; 0 says nothing.", min=0)
    ] = None,
    after: Annotated[int | None, typer.Option("--to", help="This version.", min=0)] = None,
) -> None:
    """Show what differs between two versions of a layer; without options the last two."""
    client = invocation.client
    head = which.find(client).get_head(client)
    query = {
        name: str(number)
        for name, number in (("from", before), ("to", after))
        if number is not None
    }
    show_difference(invocation, client.get(f"{ROOT}/{head['configurationId']}/diff", query).body)


@app.command("publish")
def publish_(
    invocation: Invocation,
    which: LayerOptions,
    file: Annotated[
        Path | None,
        typer.Option("-f", "--file", help="YAML or JSON: one layer, or several."),
    ] = None,
    version: Annotated[
        int | None, typer.Option(help="A draft to put in force, without a file.", min=1)
    ] = None,
    *,
    comment: Comment = "",
    draft: Draft = False,
    dry_run: DryRun = False,
) -> None:
    """Publish the layers of a file, or a draft; what is in force already is left as it is."""
    client = invocation.client
    if (file is None) == (version is None):
        raise Failure("expected a file (-f), or the number of a draft (--version)", ExitCode.USAGE)
    if file is None:
        if draft or dry_run or comment:
            raise Failure(
                "--draft, --dry-run and --comment are of a file: a draft has its content already",
                ExitCode.USAGE,
            )
        _publish_draft(which, version, invocation)
        return
    if which.module or which.layer:
        raise Failure("the file says which module and layer it is", ExitCode.USAGE)
    more = {"comment": comment, "draft": draft}
    publish_changes(
        changes_of(read_layers(file), which.env, client), invocation, more, dry_run=dry_run
    )


def _publish_draft(which: LayerOptions, version: int | None, invocation: Invocation) -> None:
    layer = which.find(invocation.client)
    head = layer.get_head(invocation.client)
    path = f"{ROOT}/{head['configurationId']}/versions/{version}/publish"
    body = {"expectedVersion": head["version"]}
    show_published(invocation, layer, write(invocation, layer, path, body, head["version"]))


@app.command()
def versions(
    which: LayerOptions,
    invocation: Invocation,
    last: Annotated[int, typer.Option(help="How many, newest last.", min=1, max=200)] = 20,
) -> None:
    """List the versions of a layer, newest last."""
    client = invocation.client
    head = which.find(client).get_head(client)
    newest = head["draft"] or head["version"]
    path = f"{ROOT}/{head['configurationId']}/versions"
    numbers = range(max(1, newest - last + 1), newest + 1)
    invocation.show([client.get(f"{path}/{each}").body for each in numbers], VERSION_COLUMNS)


@app.command()
def rollback(
    which: LayerOptions,
    invocation: Invocation,
    to: Annotated[
        int | None, typer.Option(help="A version; the one before without it.", min=1)
    ] = None,
    comment: Comment = "",
) -> None:
    """Publish the content of an earlier version again, as a new version."""
    client = invocation.client
    layer = which.find(client)
    head = layer.get_head(client)
    path = f"{ROOT}/{head['configurationId']}"
    wanted = to or client.get(f"{path}/diff").body["fromVersion"]
    if not wanted:
        raise Failure(
            f"{layer.label} has no version before {head['version']}",
            ExitCode.CONFLICT,
            remedy="remove its keys instead: `runtimectl config unset --help`",
        )
    body = {"toVersion": wanted, "expectedVersion": head["version"], "comment": comment}
    show_published(
        invocation, layer, write(invocation, layer, f"{path}/rollback", body, head["version"])
    )


@app.command()
def adoption(which: LayerOptions, watching: AdoptionOptions, invocation: Invocation) -> None:
    """Show which instances are to run the version in force, and which do; --watch waits for all."""
    client = invocation.client
    layer = which.find(client)
    head = layer.get_head(client)
    if watching.watch:
        watch_adoption(invocation, layer, head, watching.timeout_s)
    body = read_adoption(client, head["configurationId"])
    if not invocation.is_table:
        invocation.show(body)
        return
    empty = "no instance is expected to run it"
    invocation.show(body["instances"], ADOPTION_COLUMNS, empty=empty)
    if body["expected"] or not body["version"]:
        say(count_words(body))
    else:
        say(why_nobody(client, layer, body["version"]))
    if body["acknowledged"] < body["expected"]:
        note_behind(body)


@app.command()
def token(
    env: EnvironmentOption,
    module: Annotated[
        str,
        typer.Option("--module", "-m", help="module-<slug>.", parser=module_id, metavar="MODULE"),
    ],
    invocation: Invocation,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write it here, for your user alone.")
    ] = None,
) -> None:
    """Sign a development token that may read the live configuration of one module, and no more."""
    environment = environment_id(invocation.client, env)
    signed = sign_workload_token(invocation.session, environment, module)
    if to is None:
        say(signed)
        return
    write_token(to, signed)
    note(f"it is good for 12 hours; sign another in time: {to}")


def _publish(
    invocation: Invocation, layer: Layer, current: Content, values: Mapping[str, Any], **more: Any
) -> None:
    """Publish *values* in place of *current*, with its schema, unless nothing differs."""
    if current.version and current.says(values, current.schema):
        say_unchanged(layer, current.version)
        if not invocation.is_table:
            invocation.show(layer.get_head(invocation.client))
        return
    schema, expected = current.schema, current.version
    show_published(invocation, layer, publish(invocation, layer, values, schema, expected, **more))


def _present(keys: list[str] | None, values: Mapping[str, Any], where: str) -> list[str]:
    """Return *keys*, or all of *values*. Raises Failure for one that is not there."""
    for key in keys or ():
        if key not in values:
            raise Failure(
                f"{where} has no {key}; it has {', '.join(sorted(values)) or 'nothing'}",
                ExitCode.NOT_FOUND,
                remedy="see which layer has it: `runtimectl config list`",
            )
    return list(keys or values)
