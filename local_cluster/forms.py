"""Which form of a cluster this machine can have, and what each form lacks."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_cluster.binaries import NODE_RUNTIME, Binaries
from local_cluster.cluster_folder import Form
from shared.kernel.errors import Unavailable

_ROOT_NEEDS: Final = ("ip", "mount", "unshare")
_COVERED: Final = ("/proc", "/run", "/var/lib", "/var/log")


@dataclass(frozen=True)
class Choice:
    """A form, and in sentences what a cluster of it does not do on this machine."""

    form: Form
    lacks: tuple[str, ...]


def choose(binaries: Binaries, state: Path, asked: Form | None = None) -> Choice:
    """Return the form *asked*, or the most real one that this machine can have.

    Raises:
        Unavailable: it was asked for, and this machine cannot have it.
    """
    obstacles = tuple(_obstacles_to_nodes(binaries, state))
    if asked is Form.ROOT and obstacles:
        raise Unavailable(f"this machine cannot run real nodes: {'; '.join(obstacles)}")
    if asked is Form.KWOK or obstacles:
        return Choice(Form.KWOK, (*_lacks_of_kwok(), *obstacles))
    return Choice(Form.ROOT, tuple(_lacks_of_nodes(binaries)))


def _obstacles_to_nodes(binaries: Binaries, state: Path) -> Iterator[str]:
    if sys.platform != "linux":
        yield "real nodes need Linux"
        return
    if os.geteuid() != 0:
        yield "real nodes need root"
    if binaries.runtime is None:
        yield f"there is no node runtime: `make kubebox` builds it, or {NODE_RUNTIME} names it"
    for program in _ROOT_NEEDS:
        if shutil.which(program) is None:
            yield f"there is no `{program}`"
    for covered in _COVERED:
        if state.is_relative_to(covered):
            yield f"a node has a {covered} of its own, in which {state} is not seen"


def _lacks_of_kwok() -> Iterator[str]:
    yield "no container runs: pods only say that they do, and answer no request"
    yield "no traffic: a Gateway has no address, and nothing serves its routes"
    yield "no logs, no probes, no limits, and images are not pulled"


def _lacks_of_nodes(binaries: Binaries) -> Iterator[str]:
    if not binaries.has_nft:
        yield "Services have no address: there is no `nft`, which kube-proxy needs"
    yield "no names: there is no DNS for Services"
    yield "network policies are accepted, and nothing enforces them"
    yield "no persistent volumes but those of a node's own folders"
    yield "pods reach this machine and each other, and no other network"
