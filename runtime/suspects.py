"""DebugMode's second look at a kernel that is wrong: what it computes on the way, by kernels again, each result kept."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exprgraph.backend import BACKENDS, resolve
from exprgraph.graph import replace
from exprgraph.modes import Mode
from exprgraph.node import INPUT, SHARED, Graph, Node, Out, leaf
from exprgraph.program import Program
from runtime.memory import Array

PLAIN: dict[str, Any] = {"mode": Mode(), "trace": None, "profile": None, "around": None, "compared": None, "max_bytes": None, "watch": None}


def computed(nodes: Sequence[Node], known: Mapping[Node, Array], options: Mapping[str, Any], device: str) -> list[Array]:
    """The values of some nodes as kernels compute them on a device from what is known; any error of a build or a call."""
    given = {n: Out(leaf(INPUT, n.outs[0].dtype, (None,) * n.outs[0].ndim)) for n in known if n.op not in (INPUT, SHARED)}
    leaves = tuple(given[n].node if n in given else n for n in known)
    graph = Graph(tuple(map(Out, leaves)), replace([Out(n) for n in nodes], given))
    run = resolve(BACKENDS["opencl"])(Program(graph, leaves, len(nodes), {**options, **PLAIN, "device": device}))
    found: list[Array] = run(list(known.values()))
    return found
