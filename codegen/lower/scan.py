"""A cluster of one prefix scan and the maps that read it where it is made, as the description that the forms of scans are made from."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.fuse import Cluster, operands
from codegen.inline import Inliner
from codegen.kernel import Expr, Stmt
from codegen.lower.epilogue import epilogue
from codegen.lower.mapreduce import Lowering, flag
from codegen.lower.prefix_forms import Scan
from exprgraph.dims import Dim, constant

COMBINE = {"cumsum": "sum", "cumprod": "prod", "cummax": "max", "cummin": "min"}


def scan_of(cluster: Cluster, env: Lowering) -> Scan:
    """The scan of a cluster: its operand is computed where it is read, and maps that follow are computed from each running result."""
    task = cluster.tasks[0]
    node, b = task.node, env.builder
    place = task.writes[node.param("axis")]
    along = place[0] if place else len(task.space)
    length: Dim = task.space[along] if place else constant(1)
    outer = [d for k, d in enumerate(task.space) if k != along]

    def loops(index: Sequence[Expr]) -> tuple[Expr, ...]:
        return (*index[:along], index[-1], *index[along:-1]) if place else tuple(index[:-1])

    def operand(index: Sequence[Expr]) -> tuple[Expr, tuple[Stmt, ...]]:
        (out, at), = operands(task, b, loops(index))
        read = Inliner(b, env.load)
        return read.value(out, at), tuple(flag(env, f) for f in read.faults)

    def load(*index: Expr) -> Expr:
        return operand(index)[0]

    def store(value: Expr, *index: Expr) -> tuple[Stmt, ...]:
        """Every element is stored once, and there its operand is checked: it may be read more than once."""
        return (*operand(index)[1], *epilogue(cluster, env, node, value, loops(index)))
    return Scan(b, outer, length, load, store, COMBINE[node.op.name], node.outs[0].dtype, along < len(task.space) - 1)
