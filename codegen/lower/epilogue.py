"""Maps that read a result where it is made: their values there, and the stores of all results of a cluster at one index."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.fuse import Cluster, operands, placed
from codegen.inline import Index, Inliner
from codegen.kernel import Expr, Stmt, Store
from codegen.lower.mapreduce import Lowering, flag
from exprgraph.node import Node


def epilogue(cluster: Cluster, env: Lowering, node: Node, value: Expr, loops: Sequence[Expr]) -> tuple[Stmt, ...]:
    """Checks and stores where the node has this value; loops: the index in the space that the cluster iterates over."""
    homes = {t.node for t in cluster.tasks}

    def memory(n: Node, at: Index) -> Expr | None:
        return value if n is node else None if n in homes else env.load(n, at)
    inliner = Inliner(env.builder, memory)
    found: list[Stmt] = []
    for task in cluster.tasks:
        buffer = env.buffer(task.node)
        if buffer is not None:
            stored = value
            if task.node is not node:
                (out, at), = operands(task, env.builder, loops)
                stored = inliner.value(out, at)
            found.append(Store(buffer, env.address(task.node, placed(env.builder, task.writes, loops)), stored))
    return (*(flag(env, f) for f in inliner.faults), *found)
