"""How rows work on batches: a rule for each kind, and one for each row that moves elements or searches.

A rule gets the node of one lane, with its inputs over all lanes: those that are mapped have the batch axis in front, the others are the
same in every lane.  It gives the outputs, with the batch axis in front.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from exprgraph.batch_places import along, at_points, picked, put, section, spot, taken
from exprgraph.dims import constant, product
from exprgraph.dtypes import is_complex, is_float
from exprgraph.errors import GraphError, at
from exprgraph.named import NamedTuple
from exprgraph.node import OPERATORS, Node, Op, Out, make_constant
from exprgraph.ops import create, index, markers, points, shape, sort
from exprgraph.ops.contract import matmul
from exprgraph.ops.shape import broadcast_to, dim_node, dimshuffle, reshape, shape_of


class Step(NamedTuple):
    """A node of one lane, and its inputs over all lanes; size: how many lanes there are, an int64 scalar."""
    node: Node
    inputs: tuple[Out, ...]
    mapped: tuple[bool, ...]
    size: Out

    def apply(self, *inputs: Out, **changed: Any) -> tuple[Out, ...]:
        """The outputs of the node's row on other inputs, with some parameters changed."""
        params = tuple(sorted({**dict(self.node.params), **changed}.items()))
        return self.node.op.apply(inputs, params, self.node.sources).node.outputs

    def param(self, name: str) -> Any:
        """A parameter of the node."""
        return self.node.param(name)

    def refuse(self, why: str) -> NoReturn:
        """GraphError with the user's line."""
        raise GraphError(f"{self.node.op.name}: {why}{at(self.node.source)}")

    def fixed(self, places: Iterable[int]) -> None:
        """GraphError where a size, one of these inputs, depends on what is mapped."""
        if any(self.mapped[k] for k in places):
            self.refuse("a size that depends on mapped values differs from lane to lane, and no tensor has such a shape")


Rule = Callable[[Step], tuple[Out, ...]]


def each(x: Out, size: Out) -> Out:
    """A tensor that is the same in every lane, with the batch axis."""
    return broadcast_to(x, size, *shape_of(x))


def behind(x: Out, rank: int) -> Out:
    """A mapped tensor whose lanes have `rank` axes, new ones in front, so that they broadcast as one lane does."""
    missing = rank - (x.ndim - 1)
    return x if missing <= 0 else dimshuffle(x, pattern=[0, *[-1] * missing, *range(1, x.ndim)])


def _aligned(step: Step, rank: int) -> list[Out]:
    return [behind(x, rank) if mapped else x for x, mapped in zip(step.inputs, step.mapped)]


def _all(step: Step) -> list[Out]:
    """The inputs, every one with the batch axis."""
    return [x if mapped else each(x, step.size) for x, mapped in zip(step.inputs, step.mapped)]


def _elementwise(step: Step) -> tuple[Out, ...]:
    return step.apply(*_aligned(step, max(kind.ndim for kind in step.node.outs)))


def _assertion(step: Step) -> tuple[Out, ...]:
    """The result has the type of the first operand, which has to have the batch axis even where the condition alone is mapped."""
    rank = step.node.outs[0].ndim
    x, holds = (behind(x, rank) for x in _all(step))
    return step.apply(x, holds)


def _shifted(step: Step) -> tuple[Out, ...]:
    """A row that works along its parameter `axis`, one axis or several; further inputs are sizes."""
    if "axis" not in dict(step.node.params):
        step.refuse(f"a row of the kind {step.node.op.kind} without an axis has no rule for batches: give it one with batch=...")
    step.fixed(range(1, len(step.inputs)))
    axis = step.param("axis")
    return step.apply(*step.inputs, axis=tuple(a + 1 for a in axis) if isinstance(axis, tuple) else axis + 1)


def _sum_to(step: Step) -> tuple[Out, ...]:
    """Axes that are to go become axes of length 1 behind the batch axis, and are dropped then."""
    step.fixed(range(1, len(step.inputs)))
    x, *sizes = step.inputs
    gone = x.ndim - 1 - len(sizes)
    found, = step.apply(x, step.size, *[dim_node(constant(1))] * gone, *sizes)
    return (dimshuffle(found, pattern=[0, *range(1 + gone, found.ndim)]) if gone else found,)


def _matmul(step: Step) -> tuple[Out, ...]:
    """One large product where one operand is the same matrix in every lane and no copy is needed for it; else a batch of products."""
    (a, b), (left, right) = step.inputs, step.mapped
    if left and not right and b.ndim == 2:
        rows = a.type.shape
        found, = step.apply(reshape(a, dim_node(product(rows[:-1])), dim_node(rows[-1])), b)
        return (reshape(found, *map(dim_node, rows[:-1]), dim_node(b.type.shape[-1])),)
    if right and not left and a.ndim == 2 and b.ndim == 3 and b.type.shape[-1].const == 1:
        found, = step.apply(dimshuffle(b, pattern=[0, 1]), dimshuffle(a, pattern=[1, 0]))
        return (dimshuffle(found, pattern=[0, 1, -1]),)
    factors = _aligned(step, step.node.outs[0].ndim)
    return (_outer(*factors),) if a.type.shape[-1].const == 1 and not is_complex(a.dtype) else step.apply(*factors)


def _outer(a: Out, b: Out) -> Out:
    """Products of columns with rows, as gradients for each example have them: no sums, so that maps around them join.

    A sum has no negative zero, which adding 0.0 minds.
    """
    made: Out = OPERATORS["mul"](a, b)
    whole: Out = OPERATORS["add"](made, make_constant(0.0, a.dtype)) if is_float(a.dtype) else made
    return whole


def _dimshuffle(step: Step) -> tuple[Out, ...]:
    return step.apply(*step.inputs, pattern=(0, *(p + 1 if p >= 0 else -1 for p in step.param("pattern"))))


def _reshape(step: Step) -> tuple[Out, ...]:
    step.fixed(range(1, len(step.inputs)))
    return step.apply(step.inputs[0], step.size, *step.inputs[1:])


def _broadcast(step: Step) -> tuple[Out, ...]:
    step.fixed(range(1, len(step.inputs)))
    x, *sizes = step.inputs
    return step.apply(behind(x, len(sizes)), step.size, *sizes)


def _specify(step: Step) -> tuple[Out, ...]:
    step.fixed(range(1, len(step.inputs)))
    return step.apply(step.inputs[0], step.size, *step.inputs[1:], messages=("", *step.param("messages")))


def _concat(step: Step) -> tuple[Out, ...]:
    return step.apply(*_all(step), axis=step.param("axis") + 1)


def _read(step: Step) -> tuple[Out, ...]:
    """The bound of a slice may differ from lane to lane if the length does not, which those rules ask that have it."""
    if not step.param("signed"):
        step.refuse("a size that is read from mapped values differs from lane to lane, and no tensor has such a shape")
    return (step.inputs[0],)


def _size(step: Step) -> tuple[Out, ...]:
    """The size of an axis is the same in every lane."""
    return step.apply(*step.inputs, axis=step.param("axis") + 1)


def _source(step: Step) -> tuple[Out, ...]:
    step.fixed(range(len(step.inputs)))
    return step.apply(*step.inputs)


def _subtensor(step: Step) -> tuple[Out, ...]:
    step.fixed(range(3, len(step.inputs), 3))
    return (section(step.inputs, step.mapped, step.param("axes"), step.size),)


def _place(step: Step) -> tuple[Out, ...]:
    axes = step.param("axes")
    step.fixed(range(1 + 2 * len(axes), len(step.inputs)))
    return (spot(step.inputs, step.mapped, axes, step.size),)


def _take(step: Step) -> tuple[Out, ...]:
    (x, idx), (moving, choosing) = step.inputs, step.mapped
    return (taken(x, idx, moving, choosing, step.param("axis"), step.size),)


def _take_along(step: Step) -> tuple[Out, ...]:
    (x, idx), (moving, choosing) = step.inputs, step.mapped
    return (along(x, idx, moving, choosing, step.param("axis")),)


def _take_at(step: Step) -> tuple[Out, ...]:
    return (at_points(step.inputs, step.mapped, step.param("axes"), step.size),)


def _pick(step: Step) -> tuple[Out, ...]:
    (x, idx), (moving, choosing) = step.inputs, step.mapped
    return (picked(x, idx, moving, choosing, step.size),)


def _scatter(step: Step) -> tuple[Out, ...]:
    step.fixed((2,))
    return (put(step.node.op, step.inputs, step.mapped[:2], step.param("axis"), step.size),)


def _search(step: Step) -> tuple[Out, ...]:
    """A sorted vector of its own for each lane makes the batch axis one that both operands share."""
    (a, v), before = step.inputs, dict(step.node.params).get("lanes", 0)
    if not step.mapped[0] and not before:
        return step.apply(a, v)
    return step.apply(*_all(step), lanes=before + 1)


def _flatnonzero(step: Step) -> tuple[Out, ...]:
    step.refuse("how many elements are true differs from lane to lane, and no tensor has such a shape; where(mask, x, 0) keeps every place")


KINDS: dict[str, Rule] = {"elementwise": _elementwise, "reduce": _shifted, "scan": _shifted}
"""The rules that follow from the kind of a row."""

RULES: dict[Op, Rule] = {
    markers.assert_: _assertion, shape.sum_to: _sum_to, matmul: _matmul, shape.dimshuffle: _dimshuffle, shape.reshape: _reshape,
    shape.broadcast_to: _broadcast, shape.specify_shape: _specify, shape.read_size: _read, shape.size: _size, shape.bcast_size: _source,
    create.iota: _source, index.concat: _concat, index.subtensor: _subtensor, index.place: _place, index.take: _take,
    index.take_along: _take_along, points.take_at: _take_at, sort.pick: _pick, index.scatter_add: _scatter, index.scatter_inc: _scatter,
    index.scatter_max: _scatter, sort.sort: _shifted, sort.argsort: _shifted, sort.argtopk: _shifted, sort.searchsorted: _search,
    sort.flatnonzero: _flatnonzero}
"""The rules of single rows; what stands here comes before the rule of the kind."""
