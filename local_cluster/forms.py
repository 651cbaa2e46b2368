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
from local_cluster.packet_filter import problem_of_filters
from local_cluster.user_namespace import problem_of_user_namespaces
from shared.kernel.errors import Unavailable

_NODES_NEED: Final = ("ip", "mount", "nsenter", "unshare")
_COVERED: Final = ("/proc", "/run", "/var/lib", "/var/log")
_NOT_ENFORCED: Final = "network policies are accepted, and nothing enforces them"


@dataclass(frozen=True)
class Choice:
    """A form, and in sentences what a cluster of it does not do on this machine."""

    form: Form
    lacks: tuple[str, ...]
    enforces_policies: bool = False
    """Whether nodes do what NetworkPolicies ask for."""


def choose(binaries: Binaries, state: Path, asked: Form | None = None) -> Choice:
    """Return the form *asked*, or the most real one that this machine can have.

    Raises:
        Unavailable: it was asked for, and this machine cannot have it.
    """
    if asked is Form.KWOK:
        return Choice(Form.KWOK, tuple(_lacks_of_kwok()))
    form = asked or (Form.ROOT if _is_root() else Form.ROOTLESS)
    obstacles = tuple(_obstacles(form, binaries, state))
    if not obstacles:
        return _with_nodes(form, binaries)
    if asked is not None:
        raise Unavailable(f"this machine cannot run real nodes: {'; '.join(obstacles)}")
    return Choice(Form.KWOK, (*_lacks_of_kwok(), *obstacles))


def choice_inside(binaries: Binaries) -> Choice:
    """Return the choice of a cluster that is in its user namespace already."""
    return _with_nodes(Form.ROOTLESS, binaries)


def _with_nodes(form: Form, binaries: Binaries) -> Choice:
    nft = binaries.nft
    problem = "there is no `nft`" if nft is None else problem_of_filters(nft)
    return Choice(
        form, tuple(_lacks_of_nodes(form, binaries, problem)), enforces_policies=not problem
    )


def _is_root() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def _obstacles(form: Form, binaries: Binaries, state: Path) -> Iterator[str]:
    """Yield why this machine cannot have the real nodes of *form*."""
    if sys.platform != "linux":
        yield "real nodes need Linux"
        return
    if form is Form.ROOT and not _is_root():
        yield "the form root needs root"
    if form is Form.ROOTLESS and (problem := problem_of_user_namespaces()):
        yield f"without root nodes need a user namespace: {problem}"
    if binaries.runtime is None:
        yield f"there is no node runtime: `make kubebox` builds it, or {NODE_RUNTIME} names it"
    for program in _NODES_NEED:
        if shutil.which(program) is None:
            yield f"there is no `{program}`"
    for covered in _COVERED:
        if state.is_relative_to(covered):
            yield f"a node has a {covered} of its own, in which {state} is not seen"


def _lacks_of_kwok() -> Iterator[str]:
    yield "no container runs: pods only say that they do, and answer no request"
    yield "no traffic: a Gateway has no address, and nothing serves its routes"
    yield "no logs, no probes, no limits, and images are not pulled"
    yield f"{_NOT_ENFORCED}: pods have no network"


def _lacks_of_nodes(form: Form, binaries: Binaries, problem: str) -> Iterator[str]:
    """Yield what nodes lack, network policies because of *problem*."""
    if form is Form.ROOTLESS:
        yield "no limits of memory and CPU: a user namespace has no control groups here"
        yield "pods and Gateways are reached inside of the user namespace only"
    if binaries.nft is None:
        yield "Services have no address: there is no `nft`, which kube-proxy needs"
    if problem:
        yield f"{_NOT_ENFORCED}: {problem}"
    yield "no names: there is no DNS for Services"
    yield "no persistent volumes but those of a node's own folders"
    if form is Form.ROOT:
        yield "pods reach this machine and each other, and no other network"
    else:
        yield "pods reach each other, and no other network"
