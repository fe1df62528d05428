"""How a scatter runs: by atomic merges, a work-item to a value, or by owners of positions, who take values in order."""
from __future__ import annotations

from codegen.target import Target
from exprgraph.node import Node

MERGED = ("int32", "uint32", "int64", "uint64", "float32", "float64")
"""The dtypes that have an atomic form."""


def by_atomics(node: Node, target: Target) -> bool:
    """Whether values are merged atomically, so that each is asked for once, at whatever time: on GPUs, unless determinism is wanted and
    the order of values shows in the result."""
    ordered = target.deterministic and node.op.name != "scatter_max"
    return target.schedule == "gpu" and not ordered and node.outs[0].dtype in MERGED
