"""Rows of the user's own that are steps of a plan: what one call does, a row for each of its outputs, and the rules that they bring.

A call with several outputs is several nodes, one for each, with the same inputs: a node has one output everywhere else in the graph.
What computes them (a plan, the NumPy backend) finds by `call_of` which nodes are one call.
"""
from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import Dim, constant
from exprgraph.errors import CallError, DTypeError, GradientError, OwnOpError, RankError, Source, at, defined, here, shortly
from exprgraph.functions.shaping import specify_shape
from exprgraph.node import OPERATORS, Condition, Node, Op, Out, Params, TensorType, as_symbol
from exprgraph.ops.shape import needed
from exprgraph.own.made import Made
from exprgraph.types import Accepted, cast_to, size_argument, size_dims

Array = np.ndarray[Any, Any]
Shapes = Sequence[tuple[int, ...]]
Run = Callable[[Sequence[Array], Shapes, Sequence[int], Source | None], Sequence[Array]]
_calls = count(1)
SILENT = "no numpy"
"""The flag of rows without a meaning for NumPy, which raise a NoMeaningError."""


@dataclass(frozen=True)
class Rules:
    """What a user may say of an op beside its meaning: each None where it is not said.  For an op of several outputs g, y and the results
    of forward and batch are tuples.  lanes: what takes the place of a batch rule that is not said, and is given all inputs."""
    grad: Callable[..., Any] | None = None
    forward: Callable[..., Any] | None = None
    batch: Callable[..., Any] | None = None
    lanes: Callable[..., Any] | None = None


@dataclass(frozen=True, eq=False)
class Own:
    """What a step of the user's own does.

    arity: how many of its inputs are values; sizes follow them, of all outputs and then of whatever the step needs.  outputs: the dtype
    and rank of each.  run(values, shapes, more, source) -> arrays: the meaning on NumPy arrays, checked;
    more: the sizes that follow the shapes.  kernel: what devices run in its
    place, where it is a kernel.  places: which inputs are the user's arguments, in their order; None for the values.  sizes: what each
    of the sizes is in messages, None for an integer that may be negative; without it those of the shapes are called so.  rows: a row
    for each output, filled by `rows_of`.  maker, key: the user's object, and which of its steps this is; None for what cannot be named.
    meant: whether run has a meaning, and does more than raise a NoMeaningError.
    """
    name: str
    arity: int
    outputs: tuple[tuple[str, int], ...]
    run: Run
    source: Source | None
    pure: bool = True
    kernel: Any = None
    places: tuple[int, ...] | None = None
    sizes: tuple[str | None, ...] | None = None
    rows: list[OwnOp] = field(default_factory=list)
    maker: Any = None
    key: Any = None
    meant: bool = True

    def shapes(self, sizes: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The shapes of the outputs from the sizes that follow the values."""
        found, begin = [], 0
        for _, rank in self.outputs:
            found.append(tuple(sizes[begin:begin + rank]))
            begin += rank
        return found

    def arguments(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """What belongs to the user's arguments, of what belongs to the inputs."""
        return tuple(inputs[:self.arity]) if self.places is None else tuple(inputs[k] for k in self.places)

    @property
    def ranks(self) -> int:
        """How many sizes the shapes of all outputs are."""
        return sum(rank for _, rank in self.outputs)

    def named(self, inputs: Sequence[Out]) -> Iterator[tuple[Dim, str]]:
        """The sizes that may not be negative, and what they are."""
        names = self.sizes or ("a size of its result",) * self.ranks
        dims = size_dims(inputs[self.arity:])
        return ((dim, f"{self.name}: {what} is negative") for dim, what in zip(dims, names) if what is not None)

    def results(self, inputs: Sequence[Array], source: Source | None) -> Sequence[Array]:
        """All outputs from the values and sizes of the inputs."""
        sizes = [int(n) for n in inputs[self.arity:]]
        return self.run(inputs[:self.arity], self.shapes(sizes), sizes[self.ranks:], source)


class OwnOp(Op):
    """The row of one output of a step of the user's own."""
    __slots__ = ("number", "own")

    def __init__(self, own: Own, number: int, rules: Rules) -> None:
        self.own, self.number = own, number
        flags = [] if own.pure else ["impure"]
        super().__init__(own.name, "composite", self._meaning, _accept, self._infer, _grad(self, rules), forward=_forward(self, rules),
                         batch=_batch(self, rules), flags=frozenset(flags + [SILENT] * (not own.meant)), requires=self._requires)

    @property
    def made(self) -> Made | None:
        """What a pickle names the row by."""
        return None if self.own.maker is None else Made(self.own.maker, self.own.key, self.number)

    def _meaning(self, *inputs: Any, **params: Any) -> Any:
        return self.own.results(inputs, None)[self.number]

    def _infer(self, inputs: tuple[Out, ...], **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(self.own.outputs[self.number][0], size_dims(self.own.shapes(inputs[self.own.arity:])[self.number])),)

    def _requires(self, inputs: tuple[Out, ...], **params: Any) -> list[Condition]:
        end = _literal(defined(self.own.source))
        return [c for dim, what in self.own.named(inputs) for c in needed("le", constant(0), dim, _literal(what) + ": {right}" + end)]


def _literal(text: str) -> str:
    """A text in the template that the message of a Condition is."""
    return text.replace("{", "{{").replace("}", "}}")


def _accept(*args: Any, **params: Any) -> Accepted:
    raise TypeError("a row of a step is applied by the object that the user made")


def rows_of(own: Own, rules: Rules) -> Own:
    """The step with its rows."""
    own.rows.extend(OwnOp(own, k, rules) for k in range(len(own.outputs)))
    return own


def call_of(node: Node) -> Hashable:
    """What is equal for the nodes of one call."""
    assert isinstance(node.op, OwnOp)
    return node.op.own, node.params, tuple((i.node, i.index) for i in node.inputs)


def applied(own: Own, values: Sequence[Out], shapes: Sequence[Sequence[Any]], more: Sequence[Any] = ()) -> list[Out]:
    """The outputs of a call; shapes: of each output; more: the sizes that the step needs itself."""
    sizes = tuple(size_argument(n) for n in (*(n for shape in shapes for n in shape), *more))
    params: Params = () if own.pure else (("call", next(_calls)),)
    return [row.apply((*values, *sizes), params) for row in own.rows]


def accepted(name: str, args: Sequence[Any], kinds: Sequence[TensorType]) -> list[Out]:
    """Arguments of the promised ranks, cast to the promised dtypes where that loses nothing."""
    if len(args) != len(kinds):
        raise CallError(f"{name} takes {len(kinds)} argument{'s' * (len(kinds) != 1)}, {len(args)} given{at(here())}")
    return [_fitting(name, k, a, kind) for k, (a, kind) in enumerate(zip(args, kinds))]


def _fitting(name: str, number: int, value: Any, kind: TensorType) -> Out:
    value = plain(value, kind.dtype)
    if loses(value, kind.dtype):
        raise DTypeError(f"{name}: argument {number} is {shortly(value)}, its type {kind} does not take it without loss: cast it"
                         f"{at(here())}")
    out = cast_to(value, kind.dtype) if dtypes.is_weak(value) else as_symbol(value)
    if out.ndim != kind.ndim:
        raise RankError(f"{name}: argument {number} has {out.ndim} axes, its type {kind} has {kind.ndim}{at(here())}")
    if out.dtype != kind.dtype and not (dtypes.BFLOAT not in (out.dtype, kind.dtype) and np.can_cast(out.dtype, kind.dtype, "safe")):
        raise DTypeError(f"{name}: argument {number} is {out.dtype}, its type {kind} does not take it without loss: cast it{at(here())}")
    sizes = [d.const for d in kind.shape]
    if any(n is not None for n in sizes):
        out = specify_shape(out, sizes)
    return cast_to(out, kind.dtype)


def plain(value: Any, dtype: str) -> Any:
    """A whole number of NumPy's as Python's where the dtype holds exactly that one, any other value itself."""
    if isinstance(value, np.integer) or (isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iu"):
        number = int(value)
        with np.errstate(all="ignore"):
            held = dtypes.fits(number, dtype) if dtypes.is_int(dtype) else dtypes.is_float(dtype) and (
                float(np.array(float(number)).astype(dtype)) == number)
        return number if held else value
    return value


def loses(value: Any, dtype: str) -> bool:
    """Whether a number of Python's loses something as this dtype: a fraction, an imaginary part, or all but whether it is 0."""
    kind = dtypes.weak_kind(value) if dtypes.is_weak(value) else ""
    return (kind == "c" and not dtypes.is_complex(dtype)) or (kind == "f" and not dtypes.has_gradient(dtype)) or (
        kind == "i" and dtype == "bool" and value not in (0, 1))


def called(function: Callable[..., Any], arrays: Sequence[Any], what: str, where: str) -> Any:
    """What a function of the user's gives for arrays that it can only read; OwnOpError for whatever it raises, which closes with where."""
    given = [np.asarray(a).view() for a in arrays]
    for a in given:
        a.flags.writeable = False
    try:
        return function(*given)
    except Exception as error:
        if isinstance(error, TypeError) and any(a.dtype == np.longdouble for a in given):  # those who pass it try another dtype
            raise
        raise OwnOpError(f"{what} raised {type(error).__name__}: {error}{where}") from error


def fitted(found: Any, dtype: str, shape: tuple[int, ...], what: str, source: Source | None) -> Array:
    """A result of a function of the user's, cast and broadcast to what is expected."""
    try:
        array = np.asarray(found)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "biuf" and array.dtype.name != dtypes.BFLOAT:
        raise OwnOpError(f"{what} gave {shortly(found)}, which is no array of {dtype}{defined(source)}")
    try:
        return np.broadcast_to(array.astype(dtype), shape)
    except ValueError:
        raise OwnOpError(f"{what} gave shape {array.shape}, {shape} was expected{defined(source)}") from None


def listed(found: Any, wanted: int, what: str, error: type[Exception], source: Source | None) -> tuple[Any, ...]:
    """What a rule or function gave, as so many values."""
    given = tuple(found) if isinstance(found, tuple | list) else (found,)
    if len(given) != wanted:
        raise error(f"{what} gave {len(given)} value{'s' * (len(given) != 1)}, {wanted} {'is' if wanted == 1 else 'are'} needed"
                    f"{at(source)}")
    return given


def _outputs(row: OwnOp, y: Out, inputs: tuple[Out, ...]) -> Any:
    """The output, or the tuple of all, of the call that a node belongs to."""
    rows = row.own.rows
    if len(rows) == 1:
        return y
    return tuple(y if r is row else r.apply(inputs, y.node.params, y.node.sources) for r in rows)


def _grad(row: OwnOp, rules: Rules) -> Callable[..., Any] | None:
    """The user's gradient: of one output at a time, the cotangents of the others being zero, since it is linear in them."""
    given, own = rules.grad, row.own
    if given is None:
        return None

    def grad(g: Out, y: Out, *inputs: Out, **params: Any) -> tuple[Out | None, ...]:
        ys = _outputs(row, y, inputs)
        gs = tuple(g if r is row else OPERATORS["zeros_like"](o) for r, o in zip(own.rows, ys)) if isinstance(ys, tuple) else g
        values = own.arguments(inputs)
        all_: list[Out | None] = [None] * len(inputs)
        found = listed(given(gs, ys, *values), len(values), f"grad of {own.name}", GradientError, own.source)
        for place, one in zip(own.arguments(range(len(inputs))), found):
            all_[place] = one
        return tuple(all_)
    return grad


def _forward(row: OwnOp, rules: Rules) -> Callable[..., Any] | None:
    given, own = rules.forward, row.own
    if given is None:
        return None

    def forward(tangents: Sequence[Out | None], y: Out, *inputs: Out, **params: Any) -> Any:
        found = given(own.arguments(tangents), _outputs(row, y, inputs), *own.arguments(inputs))
        return listed(found, len(own.rows), f"forward of {own.name}", GradientError, own.source)[row.number]
    return forward


def _batch(row: OwnOp, rules: Rules) -> Callable[..., Any] | None:
    own = row.own
    if rules.batch is None and rules.lanes is None:
        return None

    def batch(inputs: Sequence[Out], mapped: Sequence[bool], size: Out, **params: Any) -> Any:
        if any(mapped[own.arity:]):
            raise OwnOpError(f"{own.name}: the sizes of its results differ between the lanes of a batch{at(own.source)}")
        if rules.batch is not None:
            found = rules.batch(own.arguments(inputs), own.arguments(mapped), size)
        else:
            assert rules.lanes is not None
            found = rules.lanes(tuple(inputs), tuple(mapped[:own.arity]), size)
        return listed(found, len(own.rows), f"batch of {own.name}", OwnOpError, own.source)[row.number]
    return batch
