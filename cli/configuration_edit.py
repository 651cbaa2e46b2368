"""Edits one layer in the user's editor: a file with comments, which is kept when it is refused."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from cli.configuration_files import LayerFile
from cli.configuration_layers import Content, Layer
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.layer_check import read_layers
from cli.output import format_time, note

_EDITOR: Final = "vi"
_HELP: Final = """\
# {label}: {said}.
# Save and leave: it is published. Leave it as it is: nothing happens.
# A value is text, a number, a list, a mapping, a reference {{secret: NAME}}, or a flag:
#   checkout: {{flag: {{type: boolean, default: false, rules: [{{percent: 10, value: true}}]}}}}
# schema is a JSON Schema 2020-12, which the merged values of each module have to fit.
"""


def edit(layer: Layer, current: Content) -> LayerFile | None:
    """Return what the user made of *current*; None when that is the same.

    Raises:
        Failure: there is no editor, it failed, or what was saved is no layer; then it is kept.
    """
    before = text_of(layer, current)
    handle, name = tempfile.mkstemp(prefix="runtimectl-config-", suffix=".yaml", text=True)
    file = Path(name)
    with os.fdopen(handle, "w", encoding="utf-8") as new:
        new.write(before)
    _run_editor(file)
    try:
        after = file.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        message = f"the editor left no file at {file}: {problem.strerror}"
        raise Failure(message, ExitCode.USAGE) from problem
    if after in {before, ""}:
        file.unlink()
        note("nothing was changed")
        return None
    try:
        (edited,) = read_layers(file)
    except ValueError as several:
        raise kept(Failure("expected one layer, got several", ExitCode.USAGE), file) from several
    except Failure as wrong:
        raise kept(wrong, file) from wrong
    for name, value in _names(layer).items():
        if (found := edited.said.get(name, value)) != value:
            message = f"{name}: expected {value}, which is edited here, got {found}"
            raise kept(Failure(message, ExitCode.USAGE), file)
    return edited


def kept(failure: Failure, file: Path) -> Failure:
    """Return *failure* with where the refused text is, and how it is published from there."""
    return Failure(
        failure.message,
        failure.exit_code,
        code=failure.code,
        details=failure.details,
        remedy=f"your text is kept in {file}: correct it, "
        f"then `runtimectl config publish -f {shlex.quote(str(file))}`",
        trace_id=failure.trace_id,
    )


def text_of(layer: Layer, current: Content) -> str:
    """Return *current* as a file that `publish -f` takes, with comments."""
    import yaml  # noqa: PLC0415  slow to import

    body = {**_names(layer), "expectedVersion": current.version}
    body |= {"values": dict(current.values or {})}
    if current.schema is not None:
        body["schema"] = dict(current.schema)
    said = "nothing is published yet"
    if current.version:
        said = f"version {current.version}, by {current.by} at {format_time(current.at)}"
    text: str = yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
    return _HELP.format(label=layer.label, said=said) + text


def _names(layer: Layer) -> dict[str, Any]:
    """Return what a file says of which layer it is."""
    names = {
        "layer": layer.kind,
        "environment": layer.environment_id,
        "module": layer.module,
    }
    return {name: value for name, value in names.items() if value is not None}


def _run_editor(file: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _EDITOR
    try:
        line = [*shlex.split(editor), str(file)]
        ended = subprocess.run(line, check=False).returncode  # noqa: S603  the user's own editor
    except (OSError, ValueError) as absent:
        file.unlink()
        raise Failure(
            f"the editor {editor!r} cannot be started: {absent}",
            ExitCode.USAGE,
            remedy="name one: EDITOR=nano, or publish a file: `runtimectl config publish -f …`",
        ) from absent
    if ended:
        raise kept(
            Failure(f"the editor ended with {ended}; nothing was published", ExitCode.USAGE), file
        )
