"""Complex graphs as real ones: every complex tensor becomes a pair, and is stored as floats with a last axis of two."""
from __future__ import annotations

from collections.abc import Sequence

from exprgraph import dtypes
from exprgraph.dims import constant
from exprgraph.graph import follow, order, reuse
from exprgraph.kept import optimised
from exprgraph.named import NamedTuple
from exprgraph.node import INPUT, SHARED, Graph, Node, Out, TensorType, constant_value, make_constant
from exprgraph.ops.index import concat, subtensor
from exprgraph.ops.pair import EACH, Pair
from exprgraph.ops.rounding import cast
from exprgraph.ops.shape import broadcast_to, dim_node, dimshuffle
from exprgraph.program import Program
from exprgraph.resolve import Leaves


class Parted(NamedTuple):
    """A program without complex numbers: which of its leaves and outputs stand for complex ones, as floats with a last axis of two."""
    program: Program
    leaves: tuple[bool, ...]
    outputs: tuple[bool, ...]


def parted(program: Program) -> Parted | None:
    """The program over real tensors; None where nothing in it is complex.  What becomes of each node has that node's lines."""
    nodes = order(program.graph.outputs)
    if not any(dtypes.is_complex(t.dtype) for n in (*nodes, *program.leaves) for t in n.outs):
        return None
    parting = _Parting(nodes, program.leaves)
    leaves = tuple(parting.stored.get(n, n) for n in program.leaves)
    inputs = tuple(Out(parting.stored.get(i.node, i.node), 0, i.name) for i in program.graph.inputs)
    graph = Graph(inputs, tuple(parting.output(o) for o in program.graph.outputs))
    graph = optimised(graph, leaves, {**program.options, "trace": None})
    return Parted(program._replace(graph=graph, leaves=leaves), tuple(n in parting.stored for n in program.leaves),
                  tuple(dtypes.is_complex(o.dtype) for o in program.graph.outputs))


def stored_type(kind: TensorType) -> TensorType:
    """The type of the floats that a complex tensor is stored as."""
    return TensorType(dtypes.part(kind.dtype), (*kind.shape, constant(2)))


class _Parting:
    """What takes the place of each node of one graph: a Pair for a complex result, else a tensor.  stored: the new leaves."""

    def __init__(self, nodes: Sequence[Node], leaves: Sequence[Node]) -> None:
        self.new: dict[Node, Pair | Out] = {}
        self.stored: dict[Node, Node] = {}
        self.known = set(nodes)
        for node in dict.fromkeys((*leaves, *nodes)):
            if node.op in (INPUT, SHARED) and dtypes.is_complex(node.outs[0].dtype):
                self.stored[node] = _stored(node)
        for node in nodes:
            self.new[node] = self._settled(node, self._visit(node))

    def output(self, out: Out) -> Out:
        """What is stored for an output."""
        made = self._operand(out)
        if not isinstance(made, Pair):
            return made
        each = [dimshuffle(part, pattern=[*range(out.ndim), -1]) for part in made]
        found = concat(*each, axis=out.ndim)
        self._settled(out.node, found)
        return Out(found.node, 0, out.name)

    def _operand(self, out: Out) -> Pair | Out:
        made = self.new[out.node]
        return made if isinstance(made, Pair) else follow(out, {out.node: made})

    def _visit(self, node: Node) -> Pair | Out:
        if node in self.stored:
            return _parts(self.stored[node])
        value = constant_value(Out(node))
        if value is not None and value.dtype.kind == "c":
            return Pair(*[make_constant(part, part.dtype.name) for part in (value.real, value.imag)])  # a 0-d array would count as weak
        operands = [self._operand(i) for i in node.inputs]
        if not any(isinstance(o, Pair) for o in operands) and not dtypes.is_complex(node.outs[0].dtype):
            return reuse(node, tuple(o for o in operands if isinstance(o, Out)))
        found = self._meaning(node, operands)
        return Pair(*(_fit(p, node.outs[0]) for p in found)) if isinstance(found, Pair) else _fit(found, node.outs[0])

    def _meaning(self, node: Node, operands: Sequence[Pair | Out]) -> Pair | Out:
        formula = node.op.pair
        if node.op.name == "size" and node.op.kind == "source":
            return _one(node, operands, 0)
        if formula is None or isinstance(formula, str):
            assert formula in (None, EACH)
            return Pair(_one(node, operands, 0), _one(node, operands, 1))
        found: Pair | Out = formula(*operands, **dict(node.params))
        return found

    def _settled(self, node: Node, made: Pair | Out) -> Pair | Out:
        """The same, its new nodes with the lines and, at the end, the name of the node that they stand for."""
        ends = [o.node for o in made] if isinstance(made, Pair) else [made.node]
        todo = list(ends)
        while todo:
            new = todo.pop()
            if new not in self.known:
                self.known.add(new)
                new.sources = node.sources
                new.name = node.name if new in ends else new.name
                todo += [i.node for i in new.inputs]
        return made


def _one(node: Node, operands: Sequence[Pair | Out], number: int) -> Out:
    """The node on one of the parts of its complex operands."""
    return node.op.apply(tuple(o[number] if isinstance(o, Pair) else o for o in operands), node.params, node.sources)


def _stored(node: Node) -> Node:
    """The leaf of floats that takes the place of a complex leaf, under its uid, so that sizes mean what they meant."""
    made = Node(node.op, node.params, (), node.outs, node.sources, node.name)
    made.uid = node.uid
    kind = stored_type(node.outs[0])
    made.outs = (TensorType(kind.dtype, tuple(Leaves({node.uid: made}).local(d) for d in kind.shape)),)
    return made


def _parts(node: Node) -> Pair:
    axis = node.outs[0].ndim - 1
    return Pair(*(dimshuffle(subtensor(Out(node), k, 1, 1, axes=(axis,)), pattern=range(axis)) for k in (0, 1)))


def _fit(part: Out, kind: TensorType) -> Out:
    """What a formula gave, in the type of the part of a result."""
    dtype = dtypes.part(kind.dtype)
    found = part if part.dtype == dtype else cast(part, dtype)
    return found if found.type.shape == kind.shape else broadcast_to(found, *[dim_node(d) for d in kind.shape])
