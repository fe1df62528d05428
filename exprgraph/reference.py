"""The NumPy backend: slow and obvious, the meaning of every op and the oracle of every test."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from exprgraph import dims
from exprgraph.bodies import Body, opened
from exprgraph.dims import Dim, Size, Value
from exprgraph.dtypes import BFLOAT
from exprgraph.errors import AllocationError, IndexFault, OwnOpError, ShapeError, at
from exprgraph.footprint import Footprint, Given
from exprgraph.graph import order
from exprgraph.named import NamedTuple
from exprgraph.narrow import widened
from exprgraph.node import CONSTANT, INPUT, SHARED, Graph, Node, Out, Params, TensorType
from exprgraph.own.op import OwnOp, call_of
from exprgraph.pairs import Pair, decide, pairs
from exprgraph.program import Program
from exprgraph.requires import Requirement, check, requirements
from exprgraph.size_program import program
from exprgraph.within import Limit, limit_of

Array = np.ndarray[Any, Any]
Wider = Mapping[str, str]
SAME: Wider = {}
One = Callable[[Node, list[Array]], tuple[Array, ...]]
Around = Callable[[One, Node, list[Array]], tuple[Array, ...]]


def evaluate(outputs: Sequence[Out], values: Mapping[Node, Array], wider: Wider = SAME, around: Around | None = None) -> list[Array]:
    """The values of the outputs; `values` holds those of the INPUT and SHARED leaves, and of other nodes that are not to be computed.

    With `wider`, floats are computed in other dtypes than their own ({"float32": "float64"}).  A value is dropped after its last
    use.  What is bfloat16 is computed in float32.  around(one, node, inputs) takes the place of one(node, inputs), the
    values of a node.  ShapeError, IndexFault or the error of the op's refusal, with the user's line, where operands do not fit.
    """
    nodes = order(outputs, values)
    if any(isinstance(n.op, Body) for n in nodes):
        outputs = opened(outputs)
        nodes = order(outputs, values)
    if any(t.dtype == BFLOAT for n in nodes for t in n.outs):
        outputs = widened(outputs)
        nodes = order(outputs, values)
    readers = Counter([o.node for o in outputs] + [i.node for n in nodes if n not in values for i in n.inputs])
    done: dict[Node, tuple[Array, ...]] = {}
    one = partial(_one, wider, {})
    with np.errstate(all="ignore"):
        for node in nodes:
            if node in values or node.op is INPUT or node.op is SHARED:
                done[node] = _results(node, values[node], wider)
                continue
            given = [done[i.node][i.index] for i in node.inputs]
            done[node] = one(node, given) if around is None else around(one, node, given)
            readers.subtract(i.node for i in node.inputs)
            for i in node.inputs:
                if not readers[i.node]:
                    done.pop(i.node, None)
    return [done[o.node][o.index] for o in outputs]


def _one(wider: Wider, calls: dict[Hashable, Sequence[Array]], node: Node, inputs: list[Array]) -> tuple[Array, ...]:
    if isinstance(node.op, OwnOp):
        return _results(node, _called(node, node.op, inputs, calls), wider)
    return compute(node, inputs, wider)


def _called(node: Node, op: OwnOp, inputs: list[Array], calls: dict[Hashable, Sequence[Array]]) -> Array:
    """One output of a step of the user's own, which runs once for all of them, in the dtypes that it was promised."""
    key = call_of(node)
    if key not in calls:
        own = [a if a.dtype.name == i.dtype else a.astype(i.dtype) for a, i in zip(inputs, node.inputs)]
        calls[key] = op.own.results(own, node.source)
    return calls[key][op.number]


def compute(node: Node, inputs: list[Array], wider: Wider = SAME) -> tuple[Array, ...]:
    """The values of the outputs of one node; errors as of `evaluate`."""
    return _results(node, _apply(node, inputs, wider), wider)


def check_sizes(node: Node, values: Mapping[Node, Array]) -> None:
    """The error of the first condition on sizes of one node that does not hold; `values` has those of the leaves."""
    for condition in node.op.requires(node.inputs, **dict(node.params)):
        sides = [condition.left, condition.right]
        atoms = dims.atoms(sides)
        left, right = program(sides, atoms)([_atom(a, values) for a in atoms])
        if not condition.holds(left, right):
            raise condition.error(condition.message.format(left=left, right=right) + at(node.source))


def _apply(node: Node, inputs: list[Array], wider: Wider) -> Any:
    if node.op.kind == "elementwise":
        _check_broadcast(node, inputs)
    params = _widened(node.params, SAME if node.op is CONSTANT else wider)
    try:
        return node.op.numpy(*inputs, **params)
    except OwnOpError as error:
        text, mark, made = str(error).partition("\n  defined at ")
        raise type(error)(str(error) if "\n  at " in text else f"{text}{at(node.source)}{mark}{made}") from error.__cause__
    except MemoryError as error:
        raise AllocationError(f"{node.op.name}: {error}{at(node.source)}") from None
    except IndexError as error:
        raise IndexFault(f"{node.op.name}: {error}{at(node.source)}") from None
    except ValueError as error:
        kinds = [refusal.error for refusal in node.op.refuses(node.inputs, **dict(node.params))]
        raise (kinds or [ShapeError])[0](f"{node.op.name}: {error}{at(node.source)}") from None
    except TypeError:
        if not any(a.dtype == np.longdouble for a in inputs):
            raise
        return node.op.numpy(*(a.astype("float64") if a.dtype == np.longdouble else a for a in inputs), **dict(node.params))


def _widened(params: Params, wider: Wider) -> dict[str, Any]:
    if not wider:
        return dict(params)
    return {k: wider.get(v, v) if "dtype" in k and isinstance(v, str) else v for k, v in params}


def _check_broadcast(node: Node, inputs: Sequence[Array]) -> None:
    try:
        np.broadcast_shapes(*(a.shape for a in inputs))
    except ValueError:
        shapes = " and ".join(f"{i.name or 'the result of ' + i.node.op.name} {a.shape}" for i, a in zip(node.inputs, inputs))
        raise ShapeError(f"{node.op.name}: the sizes of {shapes} do not broadcast{at(node.source)}") from None


def _results(node: Node, value: Any, wider: Wider) -> tuple[Array, ...]:
    parts = value if len(node.outs) > 1 else (value,)
    return tuple(_typed(node, kind, part, wider) for kind, part in zip(node.outs, parts))


def _typed(node: Node, kind: TensorType, value: Any, wider: Wider) -> Array:
    """A result as an array of the dtype and rank that its type promises."""
    array, dtype = np.asarray(value), np.dtype(wider.get(kind.dtype, kind.dtype))
    if array.ndim != kind.ndim or not (array.dtype == dtype or np.can_cast(array.dtype, dtype, "same_kind")):
        raise TypeError(f"the row {node.op.name} gave {array.dtype} with {array.ndim} axes where its type says {kind}{at(node.source)}")
    return array if array.dtype == dtype else array.astype(dtype)


class Sizes(NamedTuple):
    """Checks the sizes of a call before anything runs."""
    conditions: Sequence[Requirement]
    pairs: list[Pair]
    atoms: list[Any]
    numbers: dict[str, int]
    program: Callable[[Sequence[int]], tuple[int, ...]]

    def check(self, values: Mapping[Node, Array]) -> None:
        """ShapeError where a condition or a pair does not fit."""
        found = self.program([_atom(a, values) for a in self.atoms])

        def known(dim: Dim) -> int:
            return found[self.numbers[dim.text]]
        check(self.conditions, known)
        decide(self.pairs, known)


def sizes(graph: Graph) -> Sizes:
    """The conditions and pairs of a graph, compiled into one integer program."""
    wanted, uncertain = requirements(graph), pairs(graph)
    needed = [d for c, _ in wanted for d in (c.left, c.right)]
    needed += [d for p in uncertain for d in (p.left, p.right, *p.shapes[0], *p.shapes[1])]
    unique = list({d.text: d for d in needed}.values())
    atoms = dims.atoms(unique)
    return Sizes(wanted, uncertain, atoms, {d.text: i for i, d in enumerate(unique)}, program(unique, atoms))


def _atom(atom: Any, values: Mapping[Node, Array]) -> int:
    if isinstance(atom, Size):
        return int(values[atom.source].shape[atom.axis])
    if isinstance(atom, Value):
        return int(values[atom.source])
    raise TypeError(f"the NumPy backend knows no strides: {atom.text}")


class Evaluator:
    """The executable of the NumPy backend."""

    def __init__(self, program: Program) -> None:
        self.program, self.graph, self.leaves, self.options = program, program.graph, program.leaves, program.options
        self.sizes = sizes(program.graph)

    def __call__(self, values: Sequence[Any]) -> list[Array]:
        """Results are fresh arrays that share memory with nothing."""
        arrays = {n: v if isinstance(v, np.ndarray) else np.asarray(v.host()) for n, v in zip(self.leaves, values)}
        self.sizes.check(arrays)
        self._keep_to(limit_of(self.program.options), arrays)
        taken = {id(a) for a in arrays.values()}
        watching = self.options.get("around")
        around: Around | None = None if watching is None else watching(self.options)
        found = evaluate(self.graph.outputs, arrays, around=around)
        return [_owned(r, taken, o.node) for o, r in zip(self.graph.outputs, found)]

    def _keep_to(self, limit: Limit | None, arrays: Mapping[Node, Array]) -> None:
        """AllocationError where a call takes more than it may: NumPy evaluates in one order only."""
        if limit is not None:
            told = self.memory_of([Given(a.shape, int(a) if a.ndim == 0 and a.dtype.kind in "iu" else None) for a in arrays.values()], {})
            if (told.peak or 0) > limit.left:
                raise AllocationError(f"{limit} is less than what NumPy's one order needs\n{told}")

    def source(self) -> str:
        """The nodes in the order in which NumPy evaluates them."""
        lines = [f"{n.op.name} -> {', '.join(map(str, n.outs))}" for n in order(self.graph.outputs)]
        return "\n".join(["# the NumPy backend generates no code; it evaluates", *lines])

    def why(self) -> str:
        """The NumPy backend has one plan."""
        return "one plan: NumPy evaluates the graph node by node"

    def warm(self) -> None:
        """There is nothing to build."""

    def free(self) -> None:
        """Nothing is kept between calls."""

    def memory_of(self, given: Sequence[Given] | None, sizes: Mapping[str, int]) -> Footprint:
        """What a call takes of memory, without what NumPy's functions take while they run."""
        from exprgraph.reference_memory import footprint  # rarely needed
        return footprint(self.program, self.sizes.check, given, sizes)


def _owned(result: Array, taken: set[int], node: Node) -> Array:
    """The result itself, or a copy where it may share memory with an input, a constant or another result."""
    if result.flags.owndata and result.flags.writeable and id(result) not in taken:
        taken.add(id(result))
        return result
    try:
        return result.copy()
    except MemoryError as error:
        raise AllocationError(f"the result of {node.op.name}: {error}{at(node.source)}") from None


def build(program: Program) -> Evaluator:
    """The backend named "numpy"."""
    return Evaluator(program)
