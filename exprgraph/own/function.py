"""Python functions on NumPy arrays as ops: `as_op`."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.errors import DTypeError, OwnOpError, ShapeError, Source, UseError, at, here, shortly
from exprgraph.node import Out, TensorType
from exprgraph.own.lanes import by_lanes
from exprgraph.own.made import global_name, text_of
from exprgraph.own.op import Array, Own, Rules, Shapes, accepted, applied, called, listed, rows_of
from exprgraph.symbols import tensor_type


def as_op(itypes: Any, otypes: Any, infer_shape: Callable[..., Any] | None = None, *, grad: Callable[..., Any] | None = None,
          forward: Callable[..., Any] | None = None, batch: Callable[..., Any] | None = None, pure: bool = True,
          name: str | None = None) -> Callable[[Callable[..., Any]], FunctionOp]:
    """Make a Python function on NumPy arrays an op.

        @eg.as_op(itypes=[eg.fmatrix, eg.fmatrix], otypes=[eg.fmatrix], infer_shape=lambda node, shapes: [shapes[0]])
        def solve(a, b): return np.linalg.solve(a, b)

    itypes, otypes: one type or a list of them: a constructor (eg.fmatrix), a TensorType, or (dtype, rank).  infer_shape(node, shapes)
    gives the shape of each output from those of the inputs; infer_shape(shapes) is understood too.  Without it the sizes are those
    that the otypes know; where they know none, a pure function is called once more, before the rest, to see them.
    grad(g, y, *inputs): a cotangent or None for each input; forward(tangents, y, *inputs): the tangents of the outputs;
    batch(inputs, mapped, size): the outputs with a leading axis.  All are functions of symbols; for several outputs g, y and results
    are tuples.  Without batch the function is called for each lane.  pure=False: a function that does more than return its results, or
    not always the same ones: its calls are never merged or done in advance.

    The function must not write to its arguments, which are read-only, nor keep them: copy what is to be kept.
    """
    def decorate(function: Callable[..., Any]) -> FunctionOp:
        kinds = [[_kind(t) for t in (given if isinstance(given, list | tuple) and not _is_pair(given) else [given])]
                 for given in (itypes, otypes)]
        called = name or str(getattr(function, "__name__", "function"))
        return FunctionOp(function, called, kinds[0], kinds[1], infer_shape, Rules(grad, forward, batch), pure, source)
    source = here()
    return decorate


def _is_pair(given: Any) -> bool:
    return len(given) == 2 and isinstance(given[0], str) and isinstance(given[1], int | tuple)


def _kind(given: Any) -> TensorType:
    """The type that a user means."""
    if isinstance(given, TensorType):
        kind = given
    elif isinstance(given, Out):
        kind = given.type
    elif isinstance(given, tuple) and _is_pair(given):
        kind = tensor_type(*given)
    else:
        made = given() if callable(given) else None
        if not isinstance(made, Out):
            raise UseError(f"{shortly(given)} is no type: write eg.fmatrix, eg.TensorType(dtype, shape) or (dtype, rank){at(here())}")
        kind = made.type
    if dtypes.is_complex(kind.dtype):
        raise DTypeError(f"as_op does not take {kind.dtype}: pass eg.real(x) and eg.imag(x){at(here())}")
    return kind


def _is_weak(value: Any) -> bool:
    """Whether a result is a Python number, or lists of them."""
    return isinstance(value, bool | int | float) or (isinstance(value, list | tuple) and all(map(_is_weak, value)))


def _is_whole(found: Array, dtype: str) -> bool:
    """Whether an integer dtype holds numbers of Python's; a list of none fits any."""
    return not found.size or (found.dtype.kind in "biu" and all(dtypes.fits(int(n), dtype) for n in (found.min(), found.max())))


class FunctionOp:
    """A Python function that takes symbols: what `as_op` makes.  The function itself is `.function`."""

    def __init__(self, function: Callable[..., Any], name: str, itypes: Sequence[TensorType], otypes: Sequence[TensorType],
                 infer_shape: Callable[..., Any] | None, rules: Rules, pure: bool, source: Source) -> None:
        functools.update_wrapper(self, function)
        self.function, self.name, self.itypes, self.otypes, self.infer_shape = function, name, tuple(itypes), tuple(otypes), infer_shape
        self.pure, self.source = pure, source
        outputs = tuple((t.dtype, t.ndim) for t in otypes)
        own = Own(name, len(itypes), outputs, self._run, source, pure, maker=self, key="values")
        self.own = rows_of(own, by_lanes(own, rules))
        seen = Own(f"{name}.shapes", len(itypes), (("int64", 1),), self._run_shapes, source, maker=self, key="sizes")
        self._seen = rows_of(seen, by_lanes(seen, Rules()))

    def __call__(self, *args: Any) -> Any:
        """The outputs for symbols; one alone is not in a list."""
        values = accepted(self.name, args, self.itypes)
        found = applied(self.own, values, self._shapes(values))
        return found[0] if len(found) == 1 else found

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def row(self, key: str, number: int) -> Any:
        """A row of what gives the results, or of what gives their sizes."""
        return (self.own if key == "values" else self._seen).rows[number]

    @property
    def identity(self) -> str:
        """What tells this op from others."""
        return text_of("as_op", {"function": self})

    def __reduce__(self) -> str:
        return global_name(self, self.source)

    def _shapes(self, values: Sequence[Out]) -> list[tuple[Any, ...]]:
        if self.infer_shape is not None:
            return self._inferred([tuple(v.shape) for v in values], values)
        known = [tuple(d.const for d in t.shape) for t in self.otypes]
        if all(n is not None for shape in known for n in shape):
            return known
        if not self.pure:
            raise ShapeError(f"{self.name} is not pure and its otypes leave the sizes of its results open: give infer_shape=, or "
                             f"otypes with known lengths, as eg.TensorType(\"float32\", (3,)){at(here())}")
        seen, = applied(self._seen, values, [(self.own.ranks,)])
        found: list[tuple[Any, ...]] = self.own.shapes([seen[k] for k in range(self.own.ranks)])
        return [tuple(s if n is None else n for s, n in zip(a, b)) for a, b in zip(found, known)]

    def _inferred(self, shapes: list[tuple[Any, ...]], values: Sequence[Out]) -> list[tuple[Any, ...]]:
        assert self.infer_shape is not None
        alone = len(inspect.signature(self.infer_shape).parameters) == 1
        given = self.infer_shape(shapes) if alone else self.infer_shape(SimpleNamespace(inputs=list(values)), shapes)
        if len(self.otypes) == 1 and isinstance(given, tuple | list) and not (len(given) == 1 and isinstance(given[0], tuple | list)):
            given = [given]
        if not isinstance(given, tuple | list) or not all(isinstance(shape, tuple | list) for shape in given):
            raise ShapeError(f"infer_shape of {self.name} gave {shortly(given)}: a list with a shape for each output is needed{at(here())}")
        for n in (n for shape in given for n in shape):
            if isinstance(n, bool) or not isinstance(n, int | np.integer | Out):
                raise ShapeError(f"infer_shape of {self.name} gave {shortly(n)} as a size, which is no integer{at(here())}")
        found = [tuple(shape) for shape in given]
        for k, (shape, kind) in enumerate(zip(listed(found, len(self.otypes), f"infer_shape of {self.name}", ShapeError, self.source),
                                              self.otypes)):
            if len(shape) != kind.ndim:
                raise ShapeError(f"infer_shape of {self.name} gave {len(shape)} sizes for output {k}, which has {kind.ndim} axes"
                                 f"{at(here())}")
        return found

    def _raw(self, values: Sequence[Array], source: Source | None) -> tuple[Array, ...]:
        """What the function gives: as many arrays as promised, of the promised dtypes and ranks."""
        where = source or self.source
        found = called(self.function, values, self.name, at(where))
        given = listed(found if isinstance(found, tuple | list) and len(self.otypes) > 1 else (found,), len(self.otypes), self.name,
                       OwnOpError, where)
        return tuple(self._typed(k, self._array(k, r, where), where) for k, r in enumerate(given))

    def _array(self, number: int, result: Any, where: Source | None) -> Array:
        """A result as an array: Python's numbers and lists of them in the promised dtype, where they lose nothing by it."""
        dtype = self.otypes[number].dtype
        try:
            found = np.asarray(result)
            if not _is_weak(result) or (dtype == "bool" and found.size and found.dtype.kind != "b"):
                return found
            return found.astype(dtype) if dtypes.is_float(dtype) or _is_whole(found, dtype) else found
        except (ValueError, TypeError, OverflowError) as error:
            raise OwnOpError(f"{self.name} gave {shortly(result)} as output {number}, which is no array of {dtype}{at(where)}") from error

    def _typed(self, number: int, result: Array, where: Source | None) -> Array:
        kind = self.otypes[number]
        if result.dtype.name != kind.dtype or result.ndim != kind.ndim:
            raise OwnOpError(f"{self.name} gave {result.dtype} with {result.ndim} axes as output {number}, its type is {kind}{at(where)}")
        return result

    def _run(self, values: Sequence[Array], shapes: Shapes, more: Sequence[int],
             source: Source | None) -> Sequence[Array]:
        found = self._raw(values, source)
        for k, (result, shape) in enumerate(zip(found, shapes)):
            if result.shape != tuple(shape):
                raise OwnOpError(f"{self.name} gave shape {result.shape} as output {k}, {tuple(shape)} was expected by its "
                                 f"{'infer_shape' if self.infer_shape else 'type'}{at(source or self.source)}")
        return found

    def _run_shapes(self, values: Sequence[Array], shapes: Shapes, more: Sequence[int],
             source: Source | None) -> Sequence[Array]:
        sizes = [n for result in self._raw(values, source) for n in result.shape]
        return (np.array(sizes, "int64").reshape(shapes[0]),)
