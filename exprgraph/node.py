"""The records of a graph: TensorType, Op, Node, Out, Graph.

A graph is made of immutable `Node`s.  A node applies an `Op`, one row of the tables in `ops/`, to `Out`s of other nodes; an `Out` is
one output of a node and the object that users hold.  Nodes have identity: two nodes built alike are merged only inside `compile`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np

from exprgraph import dtypes, numpy_calls
from exprgraph.dims import Dim, Size, constant, of_atom
from exprgraph.errors import CallError, DTypeError, ShapeError, Source, UseError, ValueFault, at, here, shortly
from exprgraph.named import NamedTuple

Params = tuple[tuple[str, Any], ...]
_uids = count(1)
MOVING = ("leaf", "view", "gather", "scatter")
"""Kinds of ops that take every dtype: they move elements, or at most add them up."""


class TensorType(NamedTuple):
    """A dtype and one Dim per axis."""
    dtype: str
    shape: tuple[Dim, ...]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """For each axis, whether its length is known to be 1."""
        return tuple(d.const == 1 for d in self.shape)

    def __call__(self, name: str | None = None) -> Out:
        """A new input of this dtype, rank and known lengths."""
        return Out(leaf(INPUT, self.dtype, tuple(d.const for d in self.shape), name))

    def __str__(self) -> str:
        return f"{self.dtype}({', '.join('?' if d.const is None else str(d.const) for d in self.shape)})"

    def __repr__(self) -> str:
        return str(self)


class Condition(NamedTuple):
    """What the sizes of a call must fulfil: `left == right` (kind "eq") or `left <= right` (kind "le"); else `error` is raised."""
    kind: str
    left: Dim
    right: Dim
    message: str
    error: type[Exception] = ShapeError

    def holds(self, left: int, right: int) -> bool:
        """Whether the condition holds for these values."""
        return left == right if self.kind == "eq" else left <= right


def no_condition(inputs: tuple[Out, ...], **params: Any) -> list[Condition]:
    """The conditions of an op that works for all sizes."""
    return []


class Refusal(NamedTuple):
    """Operands for which an elementwise op has no result: `error` is raised where `condition`, a bool tensor over them, is true.

    `value` and `size`, integer tensors, are what {index} and {size} in the message show.  All broadcast to the shape of the result.
    """
    condition: Out
    value: Out
    message: str
    error: type[Exception] = ValueFault
    size: Out | None = None


def no_refusal(inputs: tuple[Out, ...], **params: Any) -> list[Refusal]:
    """The refusals of an op that has a result for all operands."""
    return []


class Op:
    """One row: everything that is known about one operation.  The row is the function that users call.

    name: unique.  kind: "leaf", "elementwise", "reduce", "scan" (running reductions), "view" (an index map), "source" (values from
    indices), "gather", "scatter", "contract" or "composite" (done by NumPy where it shares memory with the device, else made of other rows:
    codegen/expansions.py); it chooses the lowering.  numpy: the meaning, on arrays of the input dtypes.  accept: turns the caller's
    arguments into Outs of the dtypes that the op takes.  infer: the output types.  grad(g, y, *inputs, **params): one
    cotangent per input, None where there is none.  c: the C spelling over {0}, {1}, ..., by dtype kind "f", "i", "u", "b" or "*".
    domain: the interval from which tests draw each float argument.  ulp: the error allowed over the oracle's, in units in the last place.
    flags: "commutative", "expensive" (not to be recomputed), "smooth" (tests check finite differences), ...  requires: the Conditions on
    sizes.  refuses: for elementwise ops, the operands that are faults when a call brings them.  pair: the meaning on complex numbers, a
    formula of `ops.pair`; None for rows that refuse them (what only moves elements needs none).  forward(tangents, y, *inputs, **params):
    the tangent of the output; batch(inputs, mapped, size, **params): the outputs for a batch; both are derived where they are None.
    """
    __slots__ = ("name", "kind", "numpy", "accept", "infer", "grad", "c", "domain", "ulp", "flags", "requires", "doc",
                 "refuses", "pair", "forward", "batch")

    def __init__(self, name: str, kind: str, numpy: Callable[..., Any], accept: Callable[..., tuple[tuple[Out, ...], dict[str, Any]]],
                 infer: Callable[..., tuple[TensorType, ...]], grad: Callable[..., tuple[Out | None, ...]] | None = None,
                 c: Mapping[str, str] | None = None, domain: tuple[tuple[float, float], ...] = (), ulp: float = 0.0,
                 flags: frozenset[str] = frozenset(), requires: Callable[..., list[Condition]] = no_condition, doc: str = "",
                 refuses: Callable[..., list[Refusal]] = no_refusal, pair: Callable[..., Any] | str | None = None,
                 forward: Callable[..., Any] | None = None, batch: Callable[..., Any] | None = None) -> None:
        self.name, self.kind, self.numpy, self.accept, self.infer, self.grad = name, kind, numpy, accept, infer, grad
        self.c, self.domain, self.ulp, self.flags, self.requires, self.doc = c or {}, domain, ulp, flags, requires, doc
        self.refuses, self.pair, self.forward, self.batch = refuses, pair, forward, batch

    def changed(self, **fields: Any) -> Op:
        """A row that differs from this one in some fields."""
        return Op(**{**{k: getattr(self, k) for k in Op.__slots__}, **fields})

    def __call__(self, *args: Any, **params: Any) -> Out:
        try:
            inputs, settled = self.accept(*args, **params)
        except TypeError as error:
            if type(error) is not TypeError:
                raise
            raise CallError(str(error).replace(self.accept.__qualname__, self.name) + at(here())) from None
        if self.pair is None and self.kind not in MOVING:
            self._refuse_complex(inputs)
        return self.apply(inputs, tuple(sorted(settled.items())))

    def _refuse_complex(self, inputs: tuple[Out, ...]) -> None:
        for dtype in (i.dtype for i in inputs if dtypes.is_complex(i.dtype) and self.name != "size"):
            taking = sorted({o.name for o in OPERATORS.values() if isinstance(o, Op) and o.pair is not None})
            raise DTypeError(f"{self.name} does not take {dtype}; rows that take it are {', '.join(taking)}{at(here())}")

    def apply(self, inputs: tuple[Out, ...], params: Params = (), sources: frozenset[Source] | None = None) -> Out:
        """The node of this op on inputs that have the right dtypes already."""
        settings = dict(params)
        for condition in self.requires(inputs, **settings):
            left, right = condition.left.const, condition.right.const
            if left is not None and right is not None and not condition.holds(left, right):
                raise condition.error(condition.message.format(left=left, right=right) + at(here()))
        return Out(Node(self, params, inputs, self.infer(inputs, **settings), sources or frozenset((here(),))))

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    @property
    def __name__(self) -> str:
        return self.name


class Node:
    """An op applied to inputs: immutable, with identity, the types of its outputs and the user's lines that made it."""
    __slots__ = ("op", "params", "inputs", "outs", "sources", "uid", "name", "facts", "rest", "__weakref__")
    facts: Any  # what is known of its values, once somebody has asked

    def __init__(self, op: Op, params: Params, inputs: tuple[Out, ...], outs: tuple[TensorType, ...], sources: frozenset[Source],
                 name: str | None = None) -> None:
        self.op, self.params, self.inputs, self.outs, self.sources = op, params, inputs, outs, sources
        self.uid, self.name, self.facts = next(_uids), name, None
        self.rest: tuple[object, ...] = ()  # the lists of rules of which none applies here

    def param(self, name: str) -> Any:
        """The value of one parameter."""
        return dict(self.params)[name]

    @property
    def outputs(self) -> tuple[Out, ...]:
        """The symbols of all outputs."""
        return tuple(Out(self, i) for i in range(len(self.outs)))

    @property
    def source(self) -> Source | None:
        """The first of the user's lines, for messages."""
        return min(self.sources) if self.sources else None

    def __repr__(self) -> str:
        return f"<node {self.op.name}>"

    def __reduce__(self) -> Any:
        return OPERATORS["reduced"](self)


OPERATORS: dict[str, Callable[..., Any]] = {}
"""What the operators and methods of Out call, by name; filled once by `exprgraph/__init__`, which knows all op tables."""


def _method(name: str) -> Any:
    def call(self: Out, *args: Any, **keywords: Any) -> Any:
        return OPERATORS[name](self, *args, **keywords)
    call.__name__, call.__doc__ = name, f"`exprgraph.{name}` with this tensor as the first argument."
    return call


def _reflected(name: str) -> Any:
    return lambda self, other: OPERATORS[name](other, self)


class Out:
    """One output of a node: a symbolic tensor.  Out(symbol, borrow=True) is that symbol, as Theano's users ask for an output.

    Operators are elementwise as in NumPy, `==` too; identity is `is`, and the hash is that of identity, so that Outs are keys of dicts.
    An Out has no value: `if x:` raises, and so does NumPy where it would make an array of it; NumPy's functions go to exprgraph's.
    """
    __slots__ = ("node", "index", "type", "_name", "_tag", "subscript", "__weakref__")
    node: Node
    index: int
    _name: str | None
    _tag: SimpleNamespace
    subscript: Any
    __array_priority__ = 1000

    def __init__(self, node: Node | Out, index: int = 0, name: str | None = None, borrow: bool = False) -> None:
        if not isinstance(node, Node):
            if not isinstance(node, Out):
                raise UseError(f"Out({shortly(node)}): a symbol is needed{at(here())}")
            given = node
            node, index, name = given.node, given.index, given._name
        self.node, self.index, self._name = node, index, name
        self.type = node.outs[index]

    @property
    def name(self) -> str | None:
        """The name that the user gave, for messages, calls by keyword and pictures."""
        return self._name if self._name is not None else self.node.name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = name

    @property
    def tag(self) -> SimpleNamespace:
        """A place for whatever a user wants to keep beside this tensor."""
        if not hasattr(self, "_tag"):
            self._tag = SimpleNamespace()
        return self._tag

    @property
    def dtype(self) -> str:
        """The dtype's name."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.type.shape)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """For each axis, whether its length is known to be 1."""
        return self.type.broadcastable

    @property
    def owner(self) -> Node | None:
        """The node that computes this tensor; None for inputs, constants and shared variables."""
        return None if self.node.op.kind == "leaf" else self.node

    @property
    def shape(self) -> Any:
        """The sizes: a tuple of int64 scalars, which becomes a vector where a tensor is asked for."""
        return OPERATORS["shape"](self)

    @property
    def size(self) -> Any:
        """The number of elements, an int64 scalar."""
        return OPERATORS["size"](self)

    @property
    def T(self) -> Any:
        """The tensor with its axes reversed."""
        return OPERATORS["transpose"](self)

    __hash__, __reduce__ = object.__hash__, _method("reduced")
    __add__, __sub__, __mul__, __truediv__ = _method("add"), _method("sub"), _method("mul"), _method("true_div")
    __floordiv__, __mod__, __pow__, __matmul__ = _method("int_div"), _method("mod"), _method("pow"), _method("matmul")
    __radd__, __rsub__, __rmul__, __rtruediv__ = _reflected("add"), _reflected("sub"), _reflected("mul"), _reflected("true_div")
    __rfloordiv__, __rmod__, __rpow__, __rmatmul__ = (_reflected("int_div"), _reflected("mod"), _reflected("pow"),
                                                      _reflected("matmul"))
    __and__, __or__, __xor__, __lshift__, __rshift__ = (_method("and_"), _method("or_"), _method("xor"), _method("left_shift"),
                                                        _method("right_shift"))
    __rand__, __ror__, __rxor__, __rlshift__, __rrshift__ = (_reflected("and_"), _reflected("or_"), _reflected("xor"),
                                                             _reflected("left_shift"), _reflected("right_shift"))
    __lt__, __le__, __gt__, __ge__ = _method("lt"), _method("le"), _method("gt"), _method("ge")
    __eq__, __ne__ = _method("eq"), _method("neq")
    __neg__, __pos__, __abs__, __invert__ = _method("neg"), _method("identity"), _method("abs"), _method("invert")
    __divmod__, __rdivmod__ = _method("divmod"), _reflected("divmod")
    __getitem__ = _method("getitem")

    cumsum, cumprod, cummax, cummin = _method("cumsum"), _method("cumprod"), _method("cummax"), _method("cummin")
    sum, prod, mean, var, std = _method("sum"), _method("prod"), _method("mean"), _method("var"), _method("std")
    max, min, argmax, argmin, ptp = _method("max"), _method("min"), _method("argmax"), _method("argmin"), _method("ptp")
    any, all, norm, trace, max_and_argmax = _method("any"), _method("all"), _method("norm"), _method("trace"), _method("max_and_argmax")
    reshape, flatten, ravel, transpose = _method("reshape"), _method("flatten"), _method("ravel"), _method("transpose")
    dimshuffle, swapaxes, squeeze, expand_dims = _method("dimshuffle"), _method("swapaxes"), _method("squeeze"), _method("expand_dims")
    broadcast_to, take, dot, astype = _method("broadcast_to"), _method("take"), _method("dot"), _method("cast")
    cast, clip, round, fill = _method("cast"), _method("clip"), _method("round"), _method("fill")
    real, imag, conj, conjugate = property(_method("real")), property(_method("imag")), _method("conj"), _method("conj")
    copy, eval, repeat, clone = _method("identity"), _method("eval"), _method("repeat"), _method("clone_symbol")
    sort, argsort, topk, searchsorted = _method("sort"), _method("argsort"), _method("topk"), _method("searchsorted")
    nonzero, compress, choose = _method("nonzero"), _method("compress"), _method("choose")
    zeros_like, ones_like, diagonal = _method("zeros_like"), _method("ones_like"), _method("diagonal")
    set, inc = _method("set_subtensor"), _method("inc_subtensor")

    def __bool__(self) -> bool:
        raise UseError("a symbol has no truth value while the graph is built: write where(condition, a, b) for a choice, "
                       f"`x is y` for identity{at(here())}")

    def __len__(self) -> int:
        raise UseError(f"len() of a symbol is not known while the graph is built: write x.shape[0]{at(here())}")

    def __iter__(self) -> Iterator[Out]:
        length = self.type.shape[0].const if self.type.shape else None
        if length is None:
            raise UseError(f"iteration over a symbol of unknown length: index it, or give tensor(..., shape=) a known length{at(here())}")
        return iter([self[i] for i in range(length)])

    def __contains__(self, item: object) -> bool:
        raise UseError(f"`in` has no meaning for a symbol: write any(eq(x, value)){at(here())}")

    def __setitem__(self, key: object, value: object) -> None:
        raise UseError(f"symbols cannot be assigned to: x[index].set(value) and x[index].inc(value) build new tensors{at(here())}")

    def __float__(self) -> float:
        raise UseError(f"a symbol has no value while the graph is built: compile it and call the function{at(here())}")

    __int__ = __index__ = __complex__ = __float__

    def __array__(self, *args: Any, **keywords: Any) -> Any:
        raise numpy_calls.values(repr(self))

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return numpy_calls.ufunc(function, method, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        return numpy_calls.function(function, args, keywords)

    def __repr__(self) -> str:
        return f"<{self.name or self.node.op.name}: {self.type}>"


class Graph(NamedTuple):
    """Inputs and the outputs that are computed from them."""
    inputs: tuple[Out, ...]
    outputs: tuple[Out, ...]


def _leaf_accept(*args: Any, **params: Any) -> tuple[tuple[Out, ...], dict[str, Any]]:
    raise TypeError("inputs, constants and shared variables are made by input_like, constant and shared")


def _leaf_infer(inputs: tuple[Out, ...], **params: Any) -> tuple[TensorType, ...]:
    raise TypeError("the type of a leaf is given when it is made")


def _leaf(name: str, numpy: Callable[..., Any]) -> Op:
    return Op(name, "leaf", numpy, _leaf_accept, _leaf_infer)


def _constant_value(dtype: str, shape: tuple[int, ...], data: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, np.dtype(dtype)).reshape(shape)


INPUT = _leaf("input", lambda **params: None)
SHARED = _leaf("shared", lambda **params: None)
CONSTANT = _leaf("constant", _constant_value)


def leaf(op: Op, dtype: str, shape: tuple[int | None, ...], name: str | None = None) -> Node:
    """A new input or shared node; each axis of unknown length becomes a Size atom of its own."""
    node = Node(op, (), (), (), frozenset((here(),)), name)
    dims = tuple(of_atom(Size(node, i)) if n is None else constant(n) for i, n in enumerate(shape))
    node.outs = (TensorType(dtype, dims),)
    return node


def make_constant(value: Any, dtype: str | None = None) -> Out:
    """A constant tensor from an array, a number or a nested list."""
    array = dtypes.array_of(value) if dtype is None else np.asarray(value).astype(dtype)
    if dtype is None and dtypes.is_weak(value):
        array = array.astype(dtypes.promote((), (value,)))
    if dtypes.is_masked(value):
        raise DTypeError(f"a masked array would lose its mask: fill it first{at(here())}")
    name = dtypes.canonical(array.dtype)
    data = np.ascontiguousarray(array).astype(name, copy=False).tobytes()
    kind = TensorType(name, tuple(constant(n) for n in array.shape))
    return Out(Node(CONSTANT, (("data", data), ("dtype", name), ("shape", array.shape)), (), (kind,), frozenset((here(),))))


def constant_value(out: Out) -> np.ndarray[Any, Any] | None:
    """The array of a constant (read-only), else None."""
    return CONSTANT.numpy(**dict(out.node.params)) if out.node.op is CONSTANT else None


def as_symbol(value: Any) -> Out:
    """An Out as it is; a tuple or list that holds Outs becomes their stack; anything else a constant."""
    if isinstance(value, Out):
        return value
    if isinstance(value, tuple | list) and any(isinstance(v, Out) for v in value):
        stacked: Out = OPERATORS["stack"](list(value))
        return stacked
    return make_constant(value)
