"""Sizes that a call computes: a program is cut into stages, each of which reads the sizes that stages before it have computed.

A node `read_size` is where a value becomes a size.  The program of a stage has these values as integer scalar inputs, which sizes may
rest on like on any other input; so plans, keys and kernels know nothing of stages.  What a later stage needs of an earlier one is carried
over as an input too: reductions, scans, products and whatever else is no map or view.  Maps and views are computed again from these,
unless they are expensive.  A value carried keeps the sizes that it had, so that what was provably equal before stays so.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count

from exprgraph import graph as graphs
from exprgraph.errors import Source
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, SHARED, Graph, Node, Out, leaf
from exprgraph.ops.shape import dim_node, specify_shape
from exprgraph.program import Program
from exprgraph.types import dim_of

AGAIN = ("elementwise", "view", "source", "gather", "leaf")
"""The kinds of nodes that a later stage computes again, from what they read."""


class Read(NamedTuple):
    """A size that a call computes: the leaf that brings it to later stages, what computes it, and where the user asked for it."""
    leaf: Node
    value: Out
    signed: bool
    source: Source | None


class Stage(NamedTuple):
    """A program of its own.  takes: the leaves by the node that they stand for.  gives: for each result of the program the node whose
    value it is, or the place of an output of the whole.  last: what no later stage takes, of what stages gave."""
    program: Program
    takes: tuple[Node, ...]
    gives: tuple[Node | int, ...]
    reads: tuple[Read, ...]
    last: tuple[Node, ...] = ()


def stages(program: Program) -> tuple[Stage, ...]:
    """The stages of a program, of which the last ones read sizes; none where no size has to be read."""
    if not any(n.op.name == "read_size" and dim_of(n.inputs[0]) is None for n in graphs.order(program.graph.outputs)):
        return ()
    outputs, reads = _with_leaves(program.graph.outputs)
    return _Cut(program, outputs, reads).stages()


def _with_leaves(outputs: Sequence[Out]) -> tuple[tuple[Out, ...], list[Read]]:
    """The outputs with the values of sizes read from leaves, all types inferred anew: passes keep types that name former nodes."""
    new: dict[Node, Out] = {}
    found: list[Read] = []
    nodes = graphs.order(outputs)
    taken = {n.name for n in nodes if n.op in (INPUT, SHARED)}
    for node in nodes:
        inputs = tuple(graphs.follow(i, new) for i in node.inputs)
        if node.op.name == "read_size" and dim_of(inputs[0]) is None:
            given = leaf(INPUT, "int64", (), _free(inputs[0].name or node.name, len(found) + 1, taken))
            taken.add(given.name)
            found.append(Read(given, inputs[0], node.param("signed"), node.source))
            inputs = (Out(given),)
        new[node] = graphs.rebuild(node, inputs)
    return tuple(graphs.follow(o, new) for o in outputs), found


def _free(wish: str | None, number: int, taken: Collection[str | None]) -> str:
    """What a size is called: the user's name of its value, or the first of size1, size2, ... from a number on that is nobody's."""
    return wish if wish and wish not in taken else next(n for k in count(number) if (n := f"size{k}") not in taken)


class _Cut:
    """The state of cutting a program: at which stage each node can be computed first, and what each stage has to give."""

    def __init__(self, program: Program, outputs: Sequence[Out], reads: Sequence[Read]) -> None:
        self.program, self.outputs, self.reads = program, outputs, {r.leaf: r for r in reads}
        self.level: dict[Node, int] = {}
        for node in graphs.order([*(r.value for r in reads), *outputs]):
            self._place(node)
        self.last = max(self.level[o.node] for o in outputs)
        self.wanted: list[dict[Node, None]] = [{} for _ in range(self.last + 1)]

    def _place(self, node: Node) -> None:
        """The stage of a node, that of what computes the sizes it rests on first."""
        todo = [node]
        while todo:
            top = todo[-1]
            below = [i.node for i in top.inputs] + ([self.reads[top].value.node] if top in self.reads else [])
            waiting = [n for n in below if n not in self.level]
            if waiting and top not in self.level:
                todo += waiting
                continue
            todo.pop()
            self.level[top] = max((self.level[n] for n in below), default=0) + (top in self.reads)

    def stages(self) -> tuple[Stage, ...]:
        """From the last stage to the first, since each says what those before it have to give."""
        made, later = list[Stage](), set(self.program.leaves)
        for number in range(self.last, -1, -1):
            stage = self._stage(number)
            met = dict.fromkeys((*stage.takes, *(n for n in stage.gives if not isinstance(n, int)), *(r.leaf for r in stage.reads)))
            made.append(stage._replace(last=tuple(n for n in met if n not in later)))
            later |= set(stage.takes)
        return tuple(made[::-1])

    def _stage(self, number: int) -> Stage:
        results = [(i, o) for i, o in enumerate(self.outputs) if self.level[o.node] == number]
        carried = self.wanted[number]
        outs = [o for _, o in results] + [Out(n) for n in carried]
        given, leaves = self._needs(outs, number)
        graph_outs = graphs.replace(outs, given)
        takes = tuple(leaves)
        nodes = tuple(leaves.values())
        kept = sum(i < self.program.n_outputs for i, _ in results)
        stays = tuple(s for i, s in enumerate(self.program.stays) if i in dict(results))
        stage = self.program._replace(graph=Graph(tuple(Out(n) for n in nodes), graph_outs), leaves=nodes, n_outputs=kept, stays=stays)
        reads = tuple(r for r in self.reads.values() if r.value.node in carried)
        return Stage(stage, takes, (*(i for i, _ in results), *carried), reads)

    def _needs(self, outs: Sequence[Out], number: int) -> tuple[dict[Node, Out], dict[Node, Node]]:
        """What stands for nodes of earlier stages, and the leaves of this one by what they stand for."""
        given: dict[Node, Out] = {}
        leaves: dict[Node, Node] = {}
        todo = [o.node for o in outs][::-1]
        seen: set[Node] = set()
        while todo:
            node = todo.pop()
            if node in seen:
                continue
            seen.add(node)
            self._place(node)
            if node in self.reads:
                self.wanted[self.level[self.reads[node].value.node]][self.reads[node].value.node] = None
            if node.op in (INPUT, SHARED):
                leaves[node] = node
            elif self.level[node] < number and self._is_carried(node):
                self.wanted[self.level[node]][node] = None
                leaves[node] = fresh = leaf(INPUT, node.outs[0].dtype, (None,) * node.outs[0].ndim, node.name or f"({node.op.name})")
                sizes = [dim_node(d) for d in node.outs[0].shape]
                given[node] = specify_shape(Out(fresh), *sizes, messages=("",) * len(sizes)) if sizes else Out(fresh)
                todo += [s.node for s in sizes]
            else:
                todo += [i.node for i in reversed(node.inputs)]
        return given, leaves

    @staticmethod
    def _is_carried(node: Node) -> bool:
        return len(node.outs) == 1 and (node.op.kind not in AGAIN or "expensive" in node.op.flags)

