"""Says of a module that nothing was released of it where something is kept for it."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

from cli.client import Client

_SERVICES: Final = "/v1/runtime/services"
_LIKENESS: Final = 0.6
"""Of two names of which one is probably a slip: two letters of three that changed places."""


def similar_module(module: str, modules: Collection[str]) -> str | None:
    """Return the one of *modules* that *module* was probably meant to be."""
    # Their common beginning would make all of them alike.
    slugs = {each.removeprefix("module-"): each for each in modules if each != module}
    likely = get_close_matches(module.removeprefix("module-"), slugs, n=1, cutoff=_LIKENESS)
    return slugs[likely[0]] if likely else None


def unreleased(client: Client, environment: str, module: str) -> str | None:
    """Return what is to be said of *module* in *environment*, an id; None where it is there.

    Also where the caller may not read what is there.
    """
    services = client.list_readable(_SERVICES, {"environmentId": environment})
    if services is None:
        return None
    modules = {str(each["moduleId"]) for each in services if each["status"] != "Retired"}
    if module in modules:
        return None
    likely = similar_module(module, modules)
    hint = f"; did you mean {likely}?" if likely else ""
    return f"{module} has no release there: it is given this with its first{hint}"
