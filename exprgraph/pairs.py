"""Uncertain sizes: which pairs of sizes a graph leaves to its calls, how a call decides them, and what follows from a decision.

`pairs` lists them, `decide` compares them with the sizes of a call, `facts` turns the outcomes into substitutions of Dims, under which
`passes.resolve` rebuilds the graph.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from exprgraph import dims
from exprgraph.dims import Call, Dim, Size
from exprgraph.errors import ShapeError, Source, at
from exprgraph.graph import order
from exprgraph.named import NamedTuple
from exprgraph.node import Graph, Node, Out
from exprgraph.substituting import Substitution, substitute
from exprgraph.types import known_as, size_dim

Shape = tuple[Dim, ...]
Facts = dict[str, Dim]


class Pair(NamedTuple):
    """Two sizes that must fit together, and what a message says about them.

    kind: "bcast": equal, or one of them is 1.  "into": equal, or the left is 1 (an operand of `broadcast_to`).  "eq": equal, since
    a Condition asks for it.  names and shapes are those of the two tensors; `what` is the operation, or the message of the Condition.
    """
    kind: str
    left: Dim
    right: Dim
    source: Source | None
    names: tuple[str, str]
    shapes: tuple[Shape, Shape]
    what: str


def pairs(graph: Graph) -> list[Pair]:
    """The pairs of sizes that a call must decide, each once, in the order of the graph."""
    nodes = order(graph.outputs)
    found: dict[object, Pair] = {}
    seen: set[str] = set()
    for node in nodes:
        for pair in _of(node, seen):
            key = (pair.kind, *sorted((pair.left.text, pair.right.text))) if pair.kind == "bcast" else (pair.kind, pair.left, pair.right)
            found.setdefault(key, pair)
    certain = [p for p in found.values() if p.kind == "eq"]
    known = Substitution(facts(certain, ("equal",) * len(certain)))
    return [p for p in found.values() if p.kind == "eq" or known(p.left) != known(p.right)]


def _of(node: Node, seen: set[str]) -> Iterator[Pair]:
    yield from _conditions(node)
    if node.op.kind == "elementwise":
        yield from _aligned(node, [(i, i.type.shape) for i in node.inputs])
    elif node.op.name == "matmul":
        yield from _aligned(node, [(i, i.type.shape[:-2]) for i in node.inputs])
    elif node.op.name == "broadcast_to":
        yield from _into(node, node.inputs[0], tuple(size_dim(i) for i in node.inputs[1:]))
    for kind in node.outs:
        for dim in kind.shape:
            yield from _inside(node, dim, seen)


def _conditions(node: Node) -> Iterator[Pair]:
    """Conditions that let one size stand for another."""
    for c in node.op.requires(node.inputs, **dict(node.params)):
        if c.kind == "eq" and c.left != c.right and (_single(c.left, c.right) or _single(c.right, c.left)):
            yield Pair("eq", c.left, c.right, node.source, ("", ""), ((c.left,), (c.right,)), c.message)


def _aligned(node: Node, operands: Sequence[tuple[Out, Shape]]) -> Iterator[Pair]:
    """The pairs of operands that broadcast together, axis by axis from the right, each operand against what the earlier ones gave."""
    size: dict[int, tuple[Dim, Out, Shape]] = {}
    for out, shape in operands:
        for axis, dim in enumerate(reversed(shape)):
            if axis in size and _uncertain(size[axis][0], dim):
                left, other, its = size[axis]
                yield Pair("bcast", left, dim, node.source, (_name(other), _name(out)), (its, shape), node.op.name)
            before = size.get(axis)
            if before is None or before[0].const == 1:
                size[axis] = (dim, out, shape)
            else:
                size[axis] = (dims.bcast(before[0], dim), *before[1:])


def _into(node: Node, operand: Out, target: Shape) -> Iterator[Pair]:
    shape = operand.type.shape
    for dim, wanted in zip(reversed(shape), reversed(target)):
        if dim != wanted and dim.const != 1 and not _part(dim, wanted):
            yield Pair("into", dim, wanted, node.source, (_name(operand), "the new shape"), (shape, target), node.op.name)


def _inside(node: Node, dim: Dim, seen: set[str]) -> Iterator[Pair]:
    """Pairs that a size still speaks of although the operation that brought them together is gone."""
    todo = [a for m, _ in dim.terms for a in m]
    while todo:
        atom = todo.pop()
        if isinstance(atom, Call) and atom.text not in seen:
            seen.add(atom.text)
            todo += [a for side in (atom.left, atom.right) for m, _ in side.terms for a in m]
            if atom.kind == "bcast":
                shapes = ((atom.left,), (atom.right,))
                yield Pair("bcast", atom.left, atom.right, node.source, ("one tensor", "another"), shapes, node.op.name)


def _uncertain(left: Dim, right: Dim) -> bool:
    """Whether the broadcast size is more than one of the two: provably equal, 1, or part of the other it is not."""
    whole = dims.bcast(left, right)
    return (left.const is None or right.const is None) and whole != left and whole != right


def _part(dim: Dim, whole: Dim) -> bool:
    """Whether `dim` is one of the sizes that broadcast to `whole`: it fits if these fit."""
    return dims.bcast(dim, whole) == whole and whole.const is None


def _name(out: Out) -> str:
    return known_as(out) or f"the result of {out.node.op.name}"


def decide(found: Sequence[Pair], evaluate: Callable[[Dim], int]) -> tuple[str, ...]:
    """The outcome of each pair for the sizes of a call: "equal", tried first, "left" (is 1) or "right"; else ShapeError."""
    return tuple(_outcome(pair, evaluate) for pair in found)


def _outcome(pair: Pair, evaluate: Callable[[Dim], int]) -> str:
    left, right = evaluate(pair.left), evaluate(pair.right)
    if left == right:
        return "equal"
    if left == 1 and pair.kind != "eq":
        return "left"
    if right == 1 and pair.kind == "bcast":
        return "right"
    if pair.kind == "eq":
        raise ShapeError(pair.what.format(left=left, right=right) + at(pair.source))
    shown = [f"{name} {tuple(evaluate(d) for d in shape)}" for name, shape in zip(pair.names, pair.shapes)]
    raise ShapeError(f"{pair.what}: sizes {left} and {right} do not broadcast: {' and '.join(shown)}{at(pair.source)}")


def facts(found: Sequence[Pair], outcomes: Sequence[str]) -> Facts:
    """The substitutions that hold where the pairs have these outcomes; applying them twice changes nothing more."""
    known: Facts = {}
    for pair, outcome in zip(found, outcomes, strict=True):
        left, right = substitute(pair.left, known), substitute(pair.right, known)
        if outcome == "equal":
            swap = _single(right, left) or left.const is not None  # the newer size is the one replaced: what is known stays as it is
            _learn(known, *((right, left) if swap else (left, right)))
        else:
            _learn(known, left if outcome == "left" else right, dims.constant(1))
        if pair.kind == "bcast":
            _settle(known, pair, outcome)
    return known


def _single(dim: Dim, other: Dim) -> bool:
    """Whether the Dim is one size of a leaf that the other Dim does not contain, so that the other may stand for it."""
    atom = dim.atom
    return isinstance(atom, Size) and all(a.text != atom.text for a in dims.atoms([other]))


def _learn(known: Facts, old: Dim, new: Dim) -> None:
    """Let `new` stand for `old`, in what is known already too."""
    atom = old.atom
    fact = {old.text: new} if atom is None else {old.text: new, atom.text: new}
    if old == new or old.const is not None or substitute(new, fact) != new:
        return
    inside = old.text if atom is None else atom.text
    known.update({text: substitute(dim, fact) for text, dim in known.items() if inside in dim.text})
    known.update(fact)


def _settle(known: Facts, pair: Pair, outcome: str) -> None:
    """The broadcast size itself, under each of the texts by which types may call it."""
    result = substitute(pair.left if outcome == "right" else pair.right, known)
    for a, b in ((pair.left, pair.right), (substitute(pair.left, known), substitute(pair.right, known))):
        for made in (dims.bcast(a, b), dims.bcast(b, a)):
            _learn(known, made, result) if isinstance(made.atom, Call) else None
