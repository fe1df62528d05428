"""Whole OpenCL kernels as ops: `RawKernel`, a step of the plan between generated kernels, on the same memory.

The kernel's own head says what its parameters are; the user says which of them are results and how large they are.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import constant, product
from exprgraph.errors import (
    CallError,
    DTypeError,
    NoMeaningError,
    OwnOpError,
    RankError,
    ShapeError,
    Source,
    UseError,
    at,
    defined,
    here,
    shortly,
)
from exprgraph.functions.joining import stack
from exprgraph.named import NamedTuple
from exprgraph.node import Out, as_symbol
from exprgraph.ops.complexes import imaginary_part, real_part
from exprgraph.ops.shape import dim_node
from exprgraph.own.head import find
from exprgraph.own.lanes import by_lanes
from exprgraph.own.made import Recipe
from exprgraph.own.made import arguments as made_of
from exprgraph.own.op import Array, Own, Rules, Shapes, applied, listed, rows_of
from exprgraph.own.text import DTYPES, Parameter
from exprgraph.types import cast_to, dim_of, size_argument

_VECTOR = re.compile(r"(u?(?:char|short|int|long)|float|double|half)(2|3|4|8|16)\Z")
_NAMED = _VECTOR.pattern.removesuffix(r"\Z")
_POINTED = re.compile(rf"\b({_NAMED})\b(?=(?:\s|\b(?:const|restrict|volatile|__global|global)\b)*\*)")
_STRUCT = re.compile(r"\{([^{}()]*)\}")


@dataclass(frozen=True)
class Argument:
    """An argument of a kernel.  kind: "input", "output", "value" (a scalar that a call computes), "size" (an integer that is known before
    it runs) or "local"; number: which of these; start: for an output that is an input too, the number of that; width: how many numbers
    of the dtype an element of a local array takes.  alignment: what the address of an array must be a multiple of."""
    kind: str
    number: int
    dtype: str
    start: int | None = None
    width: int = 1
    alignment: int = 1


@dataclass(frozen=True)
class RawSource:
    """What a device needs to run a kernel.

    arguments: in the order of its parameters, which are as its head says.  axes: how many sizes its launch has; grouped: whether sizes
    of a group follow them, then the integers and the elements of local arrays.  fill: what results start with; check: whether their
    surroundings are looked at after the run, None for small ones.  mapped: for a kernel that runs once for each lane of a batch, of a
    batch of batches, ..., which inputs have lanes, the outermost batch first.
    """
    name: str
    text: str
    arguments: tuple[Argument, ...]
    parameters: tuple[Parameter, ...]
    axes: int
    grouped: bool
    fill: float | None
    check: bool | None
    outputs: tuple[str, ...]
    source: Source | None
    mapped: tuple[tuple[bool, ...], ...] = ()

    def within(self, mapped: tuple[bool, ...]) -> RawSource:
        """The kernel for each lane of a batch."""
        return replace(self, mapped=(mapped, *self.mapped))


class _Layout(NamedTuple):
    """What steps of a kernel differ in: the ranks of results, which arguments are known as integers, the axes of the launch, whether it has
    groups, and which arguments are complex."""
    ranks: tuple[int, ...]
    known: tuple[bool, ...]
    axes: int
    grouped: bool
    complexes: tuple[bool, ...]


class RawKernel(Recipe):
    """An OpenCL C kernel as an op.

        twice = eg.RawKernel('''__kernel void twice(__global const float *x, __global float *y) {
            int i = get_global_id(0);
            y[i] = 2 * x[i];
        }''', outputs={"y": "x"})

    source: a program; name: which of its kernels, where there are several; head: the head of that one, where macros write it or conditions
    of the device decide about it.  outputs: for each parameter that is a result its shape: that of
    an input, by its name; sizes; or a function of the arguments that gives them.  A result that is among `inputs` too starts as a copy of
    that argument.  inputs: the parameters that are arguments of the call, in its order; without it those that are nothing else.
    scalars: numbers by parameter, or functions of the arguments that give them.  local: the elements of `__local` parameters, likewise.
    global_size, local_size: sizes or functions of the arguments; without them an item for each element of the first result, and whatever
    groups the driver likes.  fill: what results start with; else they hold anything.  check: look for writes just outside the results
    after each run; None does it where they are small.  numpy: the same on arrays, which device="numpy" needs.  grad, forward, batch,
    pure: as for `as_op`; without batch the kernel runs for each lane.

    The kernel runs as it is.  One that reads or writes far outside its arrays may end the process: no check can exclude that.
    """

    def __init__(self, source: str, name: str | None = None, *, outputs: Mapping[str, Any] | Sequence[str], inputs: Any = None,
                 head: str | None = None,
                 scalars: Mapping[str, Any] | None = None, local: Mapping[str, Any] | None = None, global_size: Any = None,
                 local_size: Any = None, fill: float | None = None, check: bool | None = None, numpy: Callable[..., Any] | None = None,
                 grad: Callable[..., Any] | None = None, forward: Callable[..., Any] | None = None,
                 batch: Callable[..., Any] | None = None, pure: bool = True) -> None:
        self.given = made_of(locals())
        self.source, self.text = here(), source
        self.name, self.parameters = find(source, name, head, self.source)
        self.alignment = _alignment(source, self.parameters)
        self.outputs = dict(outputs) if isinstance(outputs, Mapping) else dict.fromkeys([outputs] if isinstance(outputs, str) else outputs)
        self.scalars, self.local = dict(scalars or {}), dict(local or {})
        self.global_size, self.local_size, self.fill, self.check, self.numpy, self.pure = global_size, local_size, fill, check, numpy, pure
        self.rules = Rules(grad, forward, batch)
        taken = {*self.outputs, *self.scalars, *self.local}
        self.inputs = [n.strip() for n in inputs.split(",")] if isinstance(inputs, str) else list(inputs) if inputs is not None else [
            p.name for p in self.parameters if p.name not in taken]
        self._check()
        self.floats = [n for n in self.scalars if dtypes.is_float(_dtype(self._parameter(n), self.name, self.source))]
        self._made: dict[_Layout, Own] = {}

    def __call__(self, *args: Any) -> Any:
        """The result for symbols, or a list of them."""
        if len(args) != len(self.inputs):
            raise CallError(f"{self.name} takes {len(self.inputs)} arguments ({', '.join(self.inputs)}), {len(args)} given{self._at()}")
        given = [self._argument(n, a) for n, a in zip(self.inputs, args)]
        values = [pairs(v) if dtypes.is_complex(v.dtype) else v for v in given]
        known = [not self._parameter(n).array and dtypes.is_int(v.dtype) and dim_of(v) is not None for n, v in zip(self.inputs, values)]
        shapes = [self._shape(n, spec, given, values) for n, spec in self.outputs.items()]
        grid = self._sizes("global_size", self.global_size, given) if self.global_size is not None else [self._whole(shapes[0])]
        groups = self._sizes("local_size", self.local_size, given) if self.local_size is not None else []
        if not 1 <= len(grid) <= 3 or len(groups) not in (0, len(grid)):
            raise ShapeError(f"{self.name}: global_size has {len(grid)} sizes and local_size {len(groups)}: one to three, and as many of "
                             f"both, are needed{self._at()}")
        numbers = [v for v, k in zip(values, known) if k]
        numbers += [self._one(n, s, given) for n, s in (*self.scalars.items(), *self.local.items()) if n not in self.floats]
        others = [self._scalar(self._parameter(n), self._called(self.scalars[n], given)) for n in self.floats]
        layout = _Layout(tuple(len(s) for s in shapes), tuple(known), len(grid), bool(groups),
                         tuple(dtypes.is_complex(v.dtype) for v in given))
        found = applied(self._own(layout), [*(v for v, k in zip(values, known) if not k), *others], shapes, [*grid, *groups, *numbers])
        return found[0] if len(found) == 1 else found

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def _parameter(self, name: str) -> Parameter:
        return next(p for p in self.parameters if p.name == name)

    def _check(self) -> None:
        """UseError where what is said of the parameters does not fit the kernel's head."""
        names = [p.name for p in self.parameters]
        said = {**dict.fromkeys(self.inputs, "inputs"), **dict.fromkeys(self.outputs, "outputs"), **dict.fromkeys(self.scalars, "scalars"),
                **dict.fromkeys(self.local, "local")}
        for name, where in said.items():
            if name not in names:
                raise UseError(f"{self.name} has no parameter {name!r}, of which {where} speaks; it has {', '.join(names)}"
                               f"{at(self.source)}")
        for p in self.parameters:
            if p.name not in said:
                raise UseError(f"{self.name}: nothing says what the parameter {p.name} is given{at(self.source)}")
            self._check_parameter(p)
        if not self.outputs:
            raise UseError(f"{self.name} has no results: outputs={{\"y\": \"x\"}} names them and their shapes{at(self.source)}")

    def _check_parameter(self, p: Parameter) -> None:
        if p.inside != (p.name in self.local):
            raise UseError(f"{self.name}: local= and the __local parameters must be the same, {p.name} is not{at(self.source)}")
        _dtype(p, self.name, self.source)
        if p.array and not p.inside and not p.fixed and p.name not in self.outputs:
            raise UseError(f"{self.name}: {p.name} is no result, so its head must say const: a kernel never writes to an argument"
                           f"{at(self.source)}")
        if (p.array and p.name in self.scalars) or (p.name in self.outputs and (p.fixed or not p.array)):
            raise UseError(f"{self.name}: {p.name} cannot be what outputs or scalars say: its head does not fit{at(self.source)}")

        self._check_fill()

    def _check_fill(self) -> None:
        for name in self.outputs if self.fill is not None else ():
            dtype, fill = _dtype(self._parameter(name), self.name, self.source), self.fill
            if not isinstance(fill, int | float | np.integer | np.floating) or not (dtypes.is_float(dtype) or (
                    np.isfinite(fill) and int(fill) == fill and dtypes.fits(int(fill), dtype))):
                raise UseError(f"{self.name}: fill={shortly(fill)} is no {dtype}, of which its result {name} is{at(self.source)}")

    def _at(self) -> str:
        """The closing lines of a message about a call."""
        return at(here()) + defined(self.source)

    def _argument(self, name: str, value: Any) -> Out:
        """What is given for a parameter in its dtype, or complex numbers for pairs of floats."""
        p = self._parameter(name)
        wanted = _dtype(p, self.name, self.source)
        if not p.array:
            return self._scalar(p, value)
        out = cast_to(value, wanted) if dtypes.is_weak(value) and not isinstance(value, complex) else as_symbol(value)
        if out.dtype == "bool" and wanted in ("int8", "uint8"):
            return cast_to(out, wanted)
        paired = element(p.type) == (wanted, 2) and dtypes.is_complex(out.dtype) and dtypes.part(out.dtype) == wanted
        if out.dtype != wanted and not paired:
            raise DTypeError(f"{self.name}: {name} points to {p.type} ({wanted}), {out.dtype} was given: cast it{self._at()}")
        return out

    def _scalar(self, p: Parameter, value: Any) -> Out:
        """An integer that is known before the kernel runs as it is, whatever its width; any other scalar in the parameter's dtype."""
        wanted, out = _dtype(p, self.name, self.source), as_symbol(value)
        if out.ndim:
            raise RankError(f"{self.name}: {p.name} is a scalar, a tensor of {out.ndim} axes was given{self._at()}")
        if not (dtypes.is_int(out.dtype) or out.dtype == "bool" or (dtypes.is_float(out.dtype) and dtypes.is_float(wanted))):
            raise DTypeError(f"{self.name}: {p.name} is {p.type}, {out.dtype} was given: cast it{self._at()}")
        known = dtypes.is_int(out.dtype) and not dtypes.is_float(wanted) and dim_of(out) is not None
        return out if known else cast_to(value if dtypes.is_weak(value) else out, wanted)

    def _shape(self, name: str, spec: Any, given: Sequence[Out], values: Sequence[Out]) -> list[Any]:
        """The sizes of a result; of one that is pairs of floats, as complex arguments become, the pairs count."""
        if spec is None and name in self.inputs:
            spec = name
        if isinstance(spec, str):
            if spec not in self.inputs:
                raise UseError(f"{self.name}: the shape of {name} is said to be that of {spec}, which is no argument{at(self.source)}")
            found = element(self._parameter(name).type)
            return list((values if found is not None and found[1] == 2 else given)[self.inputs.index(spec)].shape)
        if spec is None:
            raise UseError(f"{self.name}: outputs= must say the shape of {name}{at(self.source)}")
        return self._sizes(f"the shape of {name}", spec, given)

    def _called(self, spec: Any, given: Sequence[Out]) -> Any:
        return spec(*given) if callable(spec) else spec

    def _sizes(self, what: str, spec: Any, given: Sequence[Out]) -> list[Any]:
        found = self._called(spec, given)
        try:
            return [size_argument(n) for n in (found if isinstance(found, tuple | list) else (found,))]
        except TypeError as error:
            raise UseError(f"{self.name}: {what}: {error}{defined(self.source)}") from error

    def _one(self, name: str, spec: Any, values: Sequence[Out]) -> Any:
        found = self._sizes(name, spec, values)
        if len(found) != 1:
            raise UseError(f"{self.name}: {name} is one number{at(self.source)}")
        return found[0]

    def _whole(self, shape: Sequence[Any]) -> Any:
        """An item for each element of the first result, which may be a vector."""
        _, width = element(self._parameter(next(iter(self.outputs))).type) or ("", 1)
        whole = product(dim for dim in map(_known, shape))
        return dim_node(whole // constant(width + (width == 3)) if width > 1 else whole)

    def row(self, key: Any, number: int) -> Any:
        """The row of an output for one layout."""
        return self._own(_Layout(*key)).rows[number]

    def _own(self, layout: _Layout) -> Own:
        """The step for such arguments and results."""
        if layout not in self._made:
            ranks, known, axes, grouped, _ = layout
            numbers = [n for n, k in zip(self.inputs, known) if k] + [n for n in self.scalars if n not in self.floats] + [*self.local]
            values = [n for n, k in zip(self.inputs, known) if not k] + self.floats
            arguments = tuple(self._given(p, values, numbers) for p in self.parameters)
            outputs = tuple((_dtype(self._parameter(n), self.name, self.source), r) for n, r in zip(self.outputs, ranks))
            raw = RawSource(self.name, self.text, arguments, tuple(self.parameters), axes, grouped, self.fill, self.check,
                            tuple(self.outputs), self.source)
            first = len(values) + sum(ranks) + axes * (1 + grouped)
            places = tuple(values.index(n) if not k else first + numbers.index(n) for n, k in zip(self.inputs, known))
            sizes = (*(f"a size of {n}" for n, r in zip(self.outputs, ranks) for _ in range(r)), *["its global size"] * axes,
                     *["its local size"] * axes * grouped, *(f"the size of {n}" if n in self.local else None for n in numbers))
            own = Own(self.name, len(values), outputs, self._meaning(outputs, places, layout.complexes), self.source, self.pure, raw,
                      places, sizes, maker=self, key=layout, meant=self.numpy is not None)
            self._made[layout] = rows_of(own, by_lanes(own, self.rules, raw.within))
        return self._made[layout]

    def _given(self, p: Parameter, values: Sequence[str], numbers: Sequence[str]) -> Argument:
        dtype = _dtype(p, self.name, self.source)
        if p.name in self.outputs:
            return Argument("output", list(self.outputs).index(p.name), dtype, values.index(p.name) if p.name in values else None,
                            alignment=self.alignment)
        if p.name in numbers:
            _, width = element(p.type) or (dtype, 1)
            return Argument("local" if p.name in self.local else "size", numbers.index(p.name), dtype, width=width + (width == 3))
        return Argument("input" if p.array else "value", values.index(p.name), dtype, alignment=self.alignment)

    def _meaning(self, outputs: Sequence[tuple[str, int]], places: Sequence[int], complexes: Sequence[bool]) -> Callable[..., Any]:
        def run(values: Sequence[Array], shapes: Shapes, more: Sequence[int], source: Source | None) -> Sequence[Array]:
            where = at(source or self.source) + defined(self.source)
            if self.numpy is None:
                raise NoMeaningError(f'{self.name} has no NumPy meaning, which device="numpy" needs: give numpy={where}')
            every = [*values, *(n for shape in shapes for n in shape), *more]
            try:
                given = self.numpy(*(frozen(every[k], c) for k, c in zip(places, complexes)))
            except Exception as error:
                raise OwnOpError(f"numpy of {self.name} raised {type(error).__name__}: {error}{where}") from error
            found = listed(given, len(outputs), f"numpy of {self.name}", OwnOpError, source or self.source)
            return [self._typed(name, a, dtype, shape, where) for name, a, (dtype, _), shape in zip(self.outputs, found, outputs, shapes)]
        return run

    def _typed(self, name: str, given: Any, dtype: str, shape: tuple[int, ...], where: str) -> Array:
        """What numpy= gave for a result, of its dtype and shape."""
        try:
            array = parted(np.asarray(given)).astype(dtype)
        except (TypeError, ValueError) as error:
            raise OwnOpError(f"numpy of {self.name} gave {name} as {shortly(given)}, which is no array of {dtype}{where}") from error
        if array.shape != tuple(shape):
            raise OwnOpError(f"numpy of {self.name} gave {name} with shape {array.shape}, {tuple(shape)} was expected{where}")
        return array


def frozen(value: Any, paired: bool) -> Any:
    """A value as numpy= gets it: an array that it cannot write to; paired: of the complex numbers that pairs of floats stand for."""
    if not isinstance(value, np.ndarray):
        return value
    seen = np.ascontiguousarray(value).view("complex64" if value.dtype == "float32" else "complex128")[..., 0] if paired else value.view()
    seen.flags.writeable = False
    return seen


def parted(array: Array) -> Array:
    """The array, complex numbers as pairs of floats."""
    return np.stack([array.real, array.imag], -1) if np.iscomplexobj(array) else array


def pairs(value: Out) -> Out:
    """Complex numbers as pairs of floats."""
    return stack([real_part(value), imaginary_part(value)], axis=-1)


def _known(size: Any) -> Any:
    found = dim_of(size_argument(size))
    assert found is not None
    return found


def _alignment(source: str, parameters: Sequence[Parameter]) -> int:
    """What the addresses of arrays must be multiples of: the bytes of the largest vector that the program has pointers to, gives
    another name or puts into a struct, since it may make pointers of other types of what it is given."""
    named = [line for line in re.split(r"[;\n]", source) if "define" in line or "typedef" in line]
    words = {w for part in (*named, *_STRUCT.findall(source)) for w in re.findall(r"\w+", part)}
    pointed = words.union((m.group(1) for m in _POINTED.finditer(source)), (p.type for p in parameters if p.array))
    return max((np.dtype(e[0]).itemsize * (e[1] + (e[1] == 3)) for e in map(element, pointed) if e is not None and e[1] > 1), default=1)


def element(name: str) -> tuple[str, int] | None:
    """The dtype and the numbers of an element of a C type, None for one that is not known."""
    vector = _VECTOR.match(name)
    found = DTYPES.get(vector.group(1) if vector else name)
    return None if found is None else (found, int(vector.group(2)) if vector else 1)


def _dtype(p: Parameter, name: str, source: Source | None) -> str:
    """The dtype of a parameter's elements; those of vectors are their components."""
    found = element(p.type)
    if found is None or (found[1] > 1 and not p.array) or (found[0] == "bool" and p.array):
        raise UseError(f"{name}: the parameter {p.name} of type {p.type!r} cannot be given: it takes numbers, and arrays of numbers and "
                       f"vectors{at(source)}")
    return found[0]
