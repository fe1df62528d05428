"""Reductions by C expressions: `ReductionKernel`, a map that is fused with a fold.

Sums, products, maxima and minima are exprgraph's own rows.  Any other fold is a row whose partial results are joined by the user's
expression, in whatever order a schedule makes them.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import constant
from exprgraph.errors import GradientError, NoMeaningError, OwnOpError, UseError, at, defined, here, shortly
from exprgraph.node import OPERATORS, Op, Out, TensorType, as_symbol
from exprgraph.ops.reduce import spread
from exprgraph.own import meaning, text
from exprgraph.own.elementwise import ElementwiseKernel
from exprgraph.own.made import Made, Recipe
from exprgraph.own.made import arguments as made_of
from exprgraph.own.op import SILENT, accepted, called, fitted, listed
from exprgraph.own.text import DTYPES
from exprgraph.types import Accepted, normal_axes

KNOWN = {"a+b": "sum", "b+a": "sum", "a*b": "prod", "b*a": "prod", "max(a,b)": "max", "max(b,a)": "max", "min(a,b)": "min",
         "min(b,a)": "min"}
OUTSIDE = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


@dataclass(frozen=True, eq=False)
class Fold:
    """How a fold of the user's own merges: the row of two operands, and what it starts with, in the dtype."""
    merge: Op
    start: Any


FOLDS: WeakValueDictionary[str, Fold] = WeakValueDictionary()
"""By the name under which kernels know the combine, as long as a row has it."""


class FoldOp(Op):
    """The row of a fold; `key` is its name in FOLDS."""
    __slots__ = ("fold", "key", "made")

    def __init__(self, made: Made, key: str, fold: Fold, *args: Any, **fields: Any) -> None:
        self.made, self.key, self.fold = made, key, FOLDS.setdefault(key, fold)
        super().__init__(*args, **fields)


class ReductionKernel(Recipe):
    """A fold of what an expression gives for each element.

        dot = eg.ReductionKernel("float32", neutral="0", reduce_expr="a+b", map_expr="x[i]*y[i]", arguments="float *x, float *y")
        dot(x, y), dot(X, Y, axis=1)

    dtype_out: the dtype of the mapped values and of the result.  neutral: what a fold of nothing is: a number, or its C text.
    reduce_expr: over `a` and `b`; it must be associative and commutative, since parts are joined in any order.  map_expr, arguments and
    preamble: as for `ElementwiseKernel`; without them the one argument itself.  axis and keepdims as for `sum`.  a+b, a*b, max(a, b) and
    min(a, b) become exprgraph's own sum, prod, max and min, with their gradients; of no elements max and min are an error, as they are
    there.  numpy: the map on arrays; reduce_numpy: the fold of two arrays; device="numpy" needs both, the second for other folds alone.
    grad: that of the map, as for `ElementwiseKernel`.  reduce_grad(g, y, x): that of another fold, for its operand x; g and y are the
    cotangent and the result with axes of length 1 in place of those that were folded.  forward(tangents, y, x, axis, keepdims) and
    batch(inputs, mapped, size, axis, keepdims) are rules of another fold, too.
    """

    def __init__(self, dtype_out: Any, neutral: Any, reduce_expr: str, map_expr: str | None = None, arguments: str | None = None,
                 name: str = "reduction", preamble: str = "", *, numpy: Callable[..., Any] | None = None,
                 reduce_numpy: Callable[..., Any] | None = None, grad: Callable[..., Any] | Mapping[str, str] | None = None,
                 reduce_grad: Callable[..., Any] | None = None, forward: Callable[..., Any] | None = None,
                 batch: Callable[..., Any] | None = None) -> None:
        self.given = made_of(locals())
        self.source, self.name, self.dtype = here(), name, dtypes.canonical(dtype_out)
        if self.dtype not in text.C or self.dtype in dtypes.NARROW:
            raise UseError(f"ReductionKernel {name}: {self.dtype} is no dtype to fold in{at(self.source)}")
        self.neutral = self._number(neutral)
        plain = "".join(t.text for t in text.words(text.read(reduce_expr, f"reduce_expr of {name}", self.source)))
        self.known = KNOWN.get(plain)
        given = text.parameters(arguments if arguments is not None else f"{self.dtype} x", name, self.source)
        mapped = "".join(t.text for t in text.words(text.read(map_expr or given[0].name, f"map_expr of {name}", self.source)))
        alone = len(given) == 1 and mapped in (given[0].name, f"{given[0].name}[i]") and DTYPES.get(given[0].type, self.dtype) == self.dtype
        self.map = None if alone else ElementwiseKernel(arguments or "", map_expr or given[0].name, name, preamble, outputs=self.dtype,
                                                        numpy=numpy, grad=grad)
        self._fold = None if self.known else self._own_fold(reduce_expr, preamble, reduce_numpy, reduce_grad, forward, batch)

    def __call__(self, *args: Any, axis: Any = None, keepdims: bool = False, shape: Any = None) -> Any:
        """The folded map of symbols."""
        mapped: Any = self.map(*args, shape=shape) if self.map is not None else accepted(
            self.name, args, [TensorType(self.dtype, as_symbol(args[0]).type.shape)] if args else [TensorType(self.dtype, ())])[0]
        if self._fold is not None:
            return self._fold(mapped, axis=axis, keepdims=keepdims)
        more = {"dtype": self.dtype} if self.known in ("sum", "prod") else {}
        found = OPERATORS[str(self.known)](mapped, axis=axis, keepdims=keepdims, **more)
        return found if self._is_neutral() else OPERATORS[OUTSIDE[str(self.known)]](found, OPERATORS["cast"](self.neutral, self.dtype))

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def row(self, key: None, number: int) -> Any:
        """The row of the fold."""
        return self._fold

    def _is_neutral(self) -> bool:
        """Whether the user's neutral element changes nothing."""
        if self.known in ("sum", "prod"):
            return bool(self.neutral == (self.known == "prod"))
        least = -np.inf if self.dtype.startswith("float") else 0 if self.dtype == "bool" else np.iinfo(self.dtype).min
        most = np.inf if self.dtype.startswith("float") else 1 if self.dtype == "bool" else np.iinfo(self.dtype).max
        return bool(self.neutral <= least if self.known == "max" else self.neutral >= most)

    def _number(self, given: Any) -> Any:
        """The number that a neutral element is, in the dtype; UseError for one that the dtype does not hold."""
        number = self._read(given) if isinstance(given, str) else np.asarray(given)
        if number.ndim or number.dtype.kind not in "biuf":
            raise UseError(f"ReductionKernel {self.name}: neutral={shortly(given)} is no number of {self.dtype}{at(self.source)}")
        value: Any = number.item()
        if isinstance(given, str) and "~" in given and dtypes.is_int(self.dtype) and not dtypes.fits(value, self.dtype):
            value = np.array(value, "int64" if value < 0 else "uint64").astype(self.dtype).item()  # bits, as C converts them
        with np.errstate(all="ignore"):
            held: Any = np.array(value).astype(self.dtype).item()
        close = held == value or value != value or (dtypes.is_float(self.dtype) and abs(held) < np.inf)
        if not close or (value != value and not dtypes.is_float(self.dtype)):
            raise UseError(f"ReductionKernel {self.name}: neutral={shortly(given)} does not fit {self.dtype}{at(self.source)}")
        return held

    def _read(self, given: str) -> Any:
        """The number that a text is."""
        tokens = text.read(given, f"neutral of {self.name}", self.source)
        try:
            return np.asarray(meaning.number(tokens))
        except (meaning.NotPlain, TypeError, OverflowError):
            raise UseError(f"ReductionKernel {self.name}: neutral={shortly(given)} is no number{at(self.source)}") from None

    def _own_fold(self, expression: str, preamble: str, numpy: Callable[..., Any] | None, grad: Callable[..., Any] | None,
                  forward: Callable[..., Any] | None, batch: Callable[..., Any] | None) -> FoldOp:
        """The row of a fold that exprgraph does not know."""
        merge = ElementwiseKernel(f"{self.dtype} a, {self.dtype} b", expression, self.name, preamble, outputs=self.dtype, numpy=numpy)
        row, = merge.rows((self.dtype, self.dtype), {})
        key = row.c["*"].partition("(")[0] + f"_{self.neutral!r}".replace(".", "p").replace("-", "m").replace("+", "")
        return FoldOp(Made(self, None, 0), key, Fold(row, self.neutral), self.name, "reduce",
                      functools.partial(self._meaning, merge.numpy), self._accept, self._infer,
                      None if grad is None else functools.partial(self._grad, grad), forward=forward, batch=batch,
                      flags=frozenset([SILENT] * (merge.numpy is None)))

    def _accept(self, x: Out, axis: Any = None, keepdims: bool = False) -> Accepted:
        return (x,), {"axis": normal_axes(axis, x.ndim), "keepdims": bool(keepdims)}

    def _infer(self, inputs: tuple[Out, ...], axis: tuple[int, ...], keepdims: bool) -> tuple[TensorType, ...]:
        shape = inputs[0].type.shape
        return (TensorType(self.dtype, tuple(constant(1) if i in axis else d for i, d in enumerate(shape) if keepdims or i not in axis)),)

    def _meaning(self, numpy: Callable[..., Any] | None, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        """The fold in order, slice by slice."""
        if numpy is None:
            raise NoMeaningError(f'{self.name} has no NumPy meaning, which device="numpy" needs: give reduce_numpy={defined(self.source)}')
        kept, what = [i for i in range(x.ndim) if i not in axis], f"reduce_numpy of {self.name}"
        count = int(np.prod([x.shape[i] for i in axis], dtype=np.int64))
        rows = x.transpose([*axis, *kept]).reshape(count, *(x.shape[i] for i in kept))
        found = np.full(rows.shape[1:], self.neutral, x.dtype)
        for row in rows:
            joined, = listed(called(numpy, (found, row), what, defined(self.source)), 1, what, OwnOpError, None)
            found = fitted(joined, x.dtype, found.shape, what, self.source)
        return np.expand_dims(found, axis) if keepdims else found

    def _grad(self, grad: Callable[..., Any], g: Out, y: Out, x: Out, axis: tuple[int, ...], keepdims: bool) -> tuple[Out | None, ...]:
        given = grad(*(spread(o, x.ndim, axis, keepdims) for o in (g, y)), x)
        return listed(given, 1, f"reduce_grad of {self.name}", GradientError, self.source)
