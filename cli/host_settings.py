"""The settings that a host was started with: they are of that start, and kept nowhere."""

import os
from collections.abc import Mapping, Sequence
from typing import Final

from cli.state_folder import StateFolder, read_json
from shared.contracts.patterns import GIVEN_VARIABLES

RECORDED: Final = "settings"
"""In the record of a host: the names of its settings, whose values may be secret."""
_PREFIX: Final = "RUNTIME_"
_OF_EVERY_START: Final = ("RUNTIME_PROFILE", "local")
_SHOWN_MAX: Final = 80
_KEEP: Final = "what is to be kept stands in local.settings.json, in the folder of the platform"


def settings_in(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings of the platform in *environ*, without what `up` gives by itself."""
    found = {
        name: value
        for name, value in environ.items()
        if name.startswith(_PREFIX) and not GIVEN_VARIABLES.fullmatch(name)
    }
    return {each: found[each] for each in sorted(found) if (each, found[each]) != _OF_EVERY_START}


def last_settings(folder: StateFolder) -> Sequence[str]:
    """Return the names of the settings that the last host of *folder* was given."""
    record = read_json(folder.host_file) or {}
    return [str(name) for name in record.get(RECORDED, ())]


def remarks(before: Sequence[str], running: Mapping[str, str] | None) -> Sequence[str]:
    """Return what is to be said of the settings that `up` is called with.

    *running* is the environ of a host that ran already; a new one follows one that had those of
    the names *before*.
    """
    given = settings_in(os.environ)
    if running is not None:
        other = [name for name, value in given.items() if running.get(name) != value]
        said = f"it was not started with this: {', '.join(other)}; `runtimectl down`, then `up`"
        return [said] if other else []
    lost = [name for name in before if name not in given]
    said_of = {
        "of this start only, as they come from its environment": list(given),
        "not in force any more, as this start was not given them": lost,
    }
    remarked = [f"{what}: {', '.join(names)}" for what, names in said_of.items() if names]
    return [*remarked, _KEEP] if remarked else []


def shown(settings: Mapping[str, str]) -> str:
    """Return those of *settings* that are not the default, and of secret ones the names only."""
    from pydantic import SecretStr  # noqa: PLC0415  slow to import

    from shared.composition.settings import Settings  # noqa: PLC0415  slow to import

    known = {field.alias: field for field in Settings.model_fields.values()}
    said = []
    for name, value in settings_in(settings).items():
        field = known.get(name)
        if field is None or SecretStr.__name__ in str(field.annotation):
            said.append(f"{name} (not shown)")
        elif value != str(field.default):
            said.append(f"{name}={value[:_SHOWN_MAX]}")
    return ", ".join(said) or "all are the default"
