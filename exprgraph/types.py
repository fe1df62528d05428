"""The dtype and shape rules that op rows share, by name."""
from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from exprgraph import dims, dtypes
from exprgraph.dims import Dim, Value, atoms, constant, of_atom
from exprgraph.errors import CallError, DTypeError, RankError, ShapeError, at, here
from exprgraph.node import CONSTANT, INPUT, OPERATORS, SHARED, Node, Op, Out, TensorType, as_symbol, constant_value, make_constant

Accepted = tuple[tuple[Out, ...], dict[str, Any]]
Accept = Callable[..., Accepted]


def broadcast_dims(shapes: Sequence[tuple[Dim, ...]]) -> tuple[Dim, ...]:
    """The shape that NumPy broadcasting gives; sizes not known to be equal or 1 stay `bcast` until a call decides them."""
    rank = max((len(s) for s in shapes), default=0)
    out: list[Dim] = [constant(1)] * rank
    for shape in shapes:
        for axis, dim in enumerate(shape, rank - len(shape)):
            left, right = out[axis].const, dim.const
            if left is not None and right is not None and left != right and 1 not in (left, right):
                raise ShapeError(f"shapes {', '.join(show_shape(s) for s in shapes)} do not broadcast: "
                                 f"axis {axis} has sizes {left} and {right}{at(here())}")
            out[axis] = dims.bcast(out[axis], dim)
    return tuple(out)


def show_shape(shape: Sequence[Dim]) -> str:
    """A shape for messages, ? for unknown sizes."""
    return "(" + ", ".join("?" if d.const is None else str(d.const) for d in shape) + ("," if len(shape) == 1 else "") + ")"


VIEWED = {"subtensor": "part of ", "take": "elements of ", "dimshuffle": "turned ", "reshape": "reshaped ", "broadcast_to": "broadcast "}


def known_as(out: Out) -> str | None:
    """The name of a tensor, or what it is of one that has a name, as parts are that rules take of the operands of a product."""
    words = ""
    for _ in range(4):
        if out.name is not None:
            return words + out.name
        if out.node.op.name not in VIEWED:
            return None
        words, out = words + VIEWED[out.node.op.name], out.node.inputs[0]
    return None


def describe(out: Out) -> str:
    """A tensor for the messages of Conditions, which are format templates: its name or op, and its shape."""
    name = known_as(out) or out.node.op.name
    return name.replace("{", "{{").replace("}", "}}") + " " + show_shape(out.type.shape)


def cast_to(value: Any, dtype: str) -> Out:
    """A value as an Out of the dtype; Python numbers and NumPy scalars become constants of it."""
    if not isinstance(value, Out) and (dtypes.is_weak(value) or isinstance(value, np.generic)):
        if isinstance(value, int) and not isinstance(value, bool) and not dtypes.fits(value, dtype):
            raise DTypeError(f"Python integer {value} is out of bounds for {dtype}{at(here())}")
        if np.iscomplexobj(value) and not dtypes.is_complex(dtype):
            raise DTypeError(f"{value} is complex and cannot become {dtype}: take its real part or abs(){at(here())}")
        return make_constant(value, dtype)
    out = as_symbol(value)
    known = constant_value(out)
    if out.dtype == dtype:
        return out
    if known is not None and known.ndim == 0 and not (known.dtype.kind in "fc" and not _keeps(known.dtype.kind, dtype)):
        return make_constant(known, dtype)
    made: Out = OPERATORS["cast"](out, dtype)
    return made


def _keeps(kind: str, dtype: str) -> bool:
    """Whether a dtype has room for what a float ("f") or a complex number ("c") is."""
    return dtypes.is_complex(dtype) or (kind == "f" and dtypes.is_float(dtype))


def promoted(args: Sequence[Any]) -> str:
    """The common dtype of arguments, Python scalars being weak."""
    strong = [a if isinstance(a, Out) else as_symbol(a) for a in args if not dtypes.is_weak(a)]
    return dtypes.promote([s.dtype for s in strong], [a for a in args if dtypes.is_weak(a)])


def elementwise(name: str, arity: int, takes: Sequence[str], compute: Callable[[str], str]) -> Accept:
    """Accept `arity` arguments, promote them, refuse what is not in `takes`, and cast all to `compute(promoted)`."""
    def accept(*args: Any) -> Accepted:
        if len(args) != arity:
            raise CallError(f"{name} takes {arity} argument{'s' * (arity != 1)}, {len(args)} given{at(here())}")
        solid = [a if dtypes.is_weak(a) else as_symbol(a) for a in args]
        common = promoted(solid)
        target = compute(common)
        known = {"float16" if d == dtypes.BFLOAT else d for d in (common, target)}
        if not known & set(takes) and not dtypes.is_complex(common):
            raise DTypeError(f"{name} does not take {common}; it takes {', '.join(takes)}{at(here())}")
        return tuple(cast_to(a, target) for a in solid), {}
    return accept


def same(dtype: str) -> str:
    """The dtype rule that keeps the promoted dtype."""
    return dtype


def like_first(inputs: tuple[Out, ...], **params: Any) -> tuple[TensorType, ...]:
    """Elementwise shape; the dtype of the inputs."""
    return (TensorType(inputs[-1].dtype, broadcast_dims([i.type.shape for i in inputs])),)


def to_bool(inputs: tuple[Out, ...], **params: Any) -> tuple[TensorType, ...]:
    """Elementwise shape; bool."""
    return (TensorType("bool", broadcast_dims([i.type.shape for i in inputs])),)


def to_part(inputs: tuple[Out, ...], **params: Any) -> tuple[TensorType, ...]:
    """Elementwise shape; the dtype of the parts of a complex operand, that of a real one itself."""
    return (TensorType(dtypes.part(inputs[0].dtype), broadcast_dims([i.type.shape for i in inputs])),)


def normal_axis(axis: Any, ndim: int) -> int:
    """One axis in 0 .. ndim-1."""
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        raise ShapeError(f"axis {number} is out of bounds for a tensor of {ndim} axes{at(here())}")
    return number % ndim


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes as a sorted tuple of distinct numbers: None means all, () none."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(normal_axis(a, ndim) for a in (axis if isinstance(axis, tuple | list) else (axis,)))
    if len(set(axes)) != len(axes):
        raise ShapeError(f"duplicate axis in {tuple(axis)}{at(here())}")
    return tuple(sorted(axes))


_FOLD: dict[str, Callable[[Dim, Dim], Dim]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "int_div": operator.floordiv, "mod": operator.mod,
    "minimum": dims.minimum, "maximum": dims.maximum, "bcast_size": dims.bcast}


_DIMS: WeakKeyDictionary[Node, Dim | None] = WeakKeyDictionary()
_READS: WeakValueDictionary[tuple[int, int, bool], Out] = WeakValueDictionary()


def _folds(op: Op) -> bool:
    """Whether the row is one of ours that Dims know, and not one of the user's of the same name."""
    return (op.name in _FOLD or op.name in ("cast", "neg", "assume")) and OPERATORS.get(op.name) is op


def _leaf_dim(out: Out) -> Dim | None:
    node = out.node
    if node.op is CONSTANT:
        value = constant_value(out)
        return constant(int(value)) if value is not None and value.ndim == 0 and value.dtype.kind in "iub" else None
    if node.op in (INPUT, SHARED) and out.ndim == 0 and dtypes.is_int(out.dtype):
        return of_atom(Value(node))
    if node.op.name == "size" and node.op.kind == "source":
        axis: int = node.param("axis")
        return node.inputs[0].type.shape[axis]
    if node.op.name == "read_size" and node.op is OPERATORS.get("read_size"):
        given = node.inputs[0].node
        known = _leaf_dim(node.inputs[0])
        fixed = known is not None and not any(isinstance(a, Value) for a in atoms((known,)))
        return known if fixed else of_atom(Value(
            given if given.op is INPUT else node, -np.inf if node.param("signed") else 0.0))
    return None


def dim_of(out: Out) -> Dim | None:
    """The Dim that an integer scalar expression stands for, None where it depends on more than sizes and integer scalar inputs."""
    done: dict[Node, Dim | None] = {}
    todo = [out]
    while todo:
        top = todo[-1]
        if top.node in done:
            todo.pop()
        elif top.node in _DIMS:
            done[todo.pop().node] = _DIMS[top.node]
        elif top.ndim or not dtypes.is_int(top.dtype):
            done[todo.pop().node] = None
        elif not _folds(top.node.op):
            done[todo.pop().node] = _leaf_dim(top)
        elif waiting := [i for i in top.node.inputs if i.node not in done]:
            todo += waiting
        else:
            done[todo.pop().node] = _fold(top, [done[i.node] for i in top.node.inputs])
    found = done[out.node]
    if out.node.inputs:
        _DIMS[out.node] = found
    return found


def _fold(out: Out, parts: list[Dim | None]) -> Dim | None:
    if out.ndim or not dtypes.is_int(out.dtype) or any(p is None for p in parts):
        return None
    known = [p for p in parts if p is not None]
    if out.node.op.name in ("cast", "assume"):
        return known[0]
    return -known[0] if out.node.op.name == "neg" else _FOLD[out.node.op.name](*known)


def size_argument(value: Any) -> Out:
    """A size given by a user (an int, or an integer scalar expression over sizes) as an int64 scalar."""
    out = cast_to(value, "int64") if dtypes.is_weak(value) and dtypes.weak_kind(value) == "i" else as_symbol(value)
    if not dtypes.is_int(out.dtype):
        raise DTypeError(f"a size must be an integer, not {out.dtype}{at(here())}")
    if out.ndim:
        raise RankError(f"a size must be a scalar, not a tensor of {out.ndim} axes{at(here())}")
    return known_size(cast_to(out, "int64"))


def known_size(out: Out, signed: bool = False) -> Out:
    """The integer scalar itself where it follows from sizes and integer scalars among the inputs, else what reads it during a call.

    signed: whether it may be negative, as bounds of slices may.
    """
    if dim_of(out) is not None:
        return out
    key = out.node.uid, out.index, signed
    read: Out | None = _READS.get(key)
    if read is None:
        read = _READS[key] = OPERATORS["read_size"](cast_to(out, "int64"), signed=signed)
    return read


def size_dim(out: Out) -> Dim:
    """The Dim of a size argument."""
    found = dim_of(out)
    if found is None:
        raise ShapeError(f"a size must be an integer scalar, not a {out.type} that nothing reads as a size{at(here())}")
    return found


def size_dims(outs: Sequence[Out]) -> tuple[Dim, ...]:
    """The Dims of several size arguments."""
    return tuple(size_dim(o) for o in outs)
