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
from exprgraph.dims import product
from exprgraph.errors import CallError, DTypeError, OwnOpError, RankError, ShapeError, Source, UseError, at, here
from exprgraph.node import Out, as_symbol
from exprgraph.ops.shape import dim_node
from exprgraph.own import text
from exprgraph.own.lanes import by_lanes
from exprgraph.own.op import Array, Own, Rules, Shapes, applied, listed, rows_of
from exprgraph.own.text import DTYPES, Parameter, Token
from exprgraph.types import cast_to, dim_of, size_argument

_VECTOR = re.compile(r"(u?(?:char|short|int|long)|float|double|half)(2|3|4|8|16)\Z")
_NAMED = _VECTOR.pattern.removesuffix(r"\Z")
_POINTED = (re.compile(rf"\b(?P<type>{_NAMED})\b(?=(?:\s|\b(?:const|restrict|volatile|__global|global)\b)*\*)"),
            re.compile(rf"\b(?:define|typedef)\b[^\n;]*?\b(?P<type>{_NAMED})\b"))
"""Vector types that something points to, or that have another name."""


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

    arguments: in the order of its parameters.  axes: how many sizes its launch has; grouped: whether sizes of a group follow them, then
    the integers and the elements of local arrays.  fill: what results start with; check: whether their surroundings are looked at after
    the run, None for small ones.  mapped: for a kernel that runs once for each lane of a batch, of a batch of batches, ..., which inputs
    have lanes, the outermost batch first.
    """
    name: str
    text: str
    arguments: tuple[Argument, ...]
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


class RawKernel:
    """An OpenCL C kernel as an op.

        twice = eg.RawKernel('''__kernel void twice(__global const float *x, __global float *y) {
            int i = get_global_id(0);
            y[i] = 2 * x[i];
        }''', outputs={"y": "x"})

    source: a program; name: which of its kernels, where there are several.  outputs: for each parameter that is a result its shape: that of
    an input, by its name; sizes; or a function of the arguments that gives them.  A result that is among `inputs` too starts as a copy of
    that argument.  inputs: the parameters that are arguments of the call, in its order; without it those that are nothing else.
    scalars: integers by parameter, or functions of the arguments that give them.  local: the elements of `__local` parameters, likewise.
    global_size, local_size: sizes or functions of the arguments; without them an item for each element of the first result, and whatever
    groups the driver likes.  fill: what results start with; else they hold anything.  check: look for writes just outside the results
    after each run; None does it where they are small.  numpy: the same on arrays, which device="numpy" needs.  grad, forward, batch,
    pure: as for `as_op`; without batch the kernel runs for each lane.

    The kernel runs as it is.  One that reads or writes far outside its arrays may end the process: no check can exclude that.
    """

    def __init__(self, source: str, name: str | None = None, *, outputs: Mapping[str, Any] | Sequence[str], inputs: Any = None,
                 scalars: Mapping[str, Any] | None = None, local: Mapping[str, Any] | None = None, global_size: Any = None,
                 local_size: Any = None, fill: float | None = None, check: bool | None = None, numpy: Callable[..., Any] | None = None,
                 grad: Callable[..., Any] | None = None, forward: Callable[..., Any] | None = None,
                 batch: Callable[..., Any] | None = None, pure: bool = True) -> None:
        self.source, self.text = here(), source
        self.name, self.parameters = _kernel(text.read(source, "the source of a RawKernel", self.source, kernel=True), name, self.source)
        self.alignment = _alignment(source, self.parameters)
        self.outputs = dict(outputs) if isinstance(outputs, Mapping) else dict.fromkeys([outputs] if isinstance(outputs, str) else outputs)
        self.scalars, self.local = dict(scalars or {}), dict(local or {})
        self.global_size, self.local_size, self.fill, self.check, self.numpy, self.pure = global_size, local_size, fill, check, numpy, pure
        self.rules = Rules(grad, forward, batch)
        taken = {*self.outputs, *self.scalars, *self.local}
        self.inputs = [n.strip() for n in inputs.split(",")] if isinstance(inputs, str) else list(inputs) if inputs is not None else [
            p.name for p in self.parameters if p.name not in taken]
        self._check()
        self._made: dict[Any, Own] = {}

    def __call__(self, *args: Any) -> Any:
        """The result for symbols, or a list of them."""
        if len(args) != len(self.inputs):
            raise CallError(f"{self.name} takes {len(self.inputs)} arguments ({', '.join(self.inputs)}), {len(args)} given{at(here())}")
        values = [self._argument(n, a) for n, a in zip(self.inputs, args)]
        known = [not self._parameter(n).array and dtypes.is_int(v.dtype) and dim_of(v) is not None for n, v in zip(self.inputs, values)]
        shapes = [self._shape(n, spec, values) for n, spec in self.outputs.items()]
        grid = self._sizes("global_size", self.global_size, values) if self.global_size is not None else [self._whole(shapes[0])]
        groups = self._sizes("local_size", self.local_size, values) if self.local_size is not None else []
        if not 1 <= len(grid) <= 3 or len(groups) not in (0, len(grid)):
            raise ShapeError(f"{self.name}: global_size has {len(grid)} sizes and local_size {len(groups)}: one to three, and as many of "
                             f"both, are needed{at(here())}")
        numbers = [v for v, k in zip(values, known) if k]
        numbers += [self._one(n, s, values) for n, s in (*self.scalars.items(), *self.local.items())]
        own = self._own(tuple(len(s) for s in shapes), tuple(known), len(grid), bool(groups))
        found = applied(own, [v for v, k in zip(values, known) if not k], shapes, [*grid, *groups, *numbers])
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
        inside = any(q in ("__local", "local") for q in p.qualifiers)
        if inside != (p.name in self.local):
            raise UseError(f"{self.name}: local= and the __local parameters must be the same, {p.name} is not{at(self.source)}")
        _dtype(p, self.name, self.source)
        fixed = any(q in ("const", "__constant", "constant") for q in p.qualifiers)
        if p.array and not inside and not fixed and p.name not in self.outputs:
            raise UseError(f"{self.name}: {p.name} is no result, so its head must say const: a kernel never writes to an argument"
                           f"{at(self.source)}")
        if p.array and p.name in self.scalars or (not p.array and p.name in self.outputs) or (fixed and p.name in self.outputs and p.array):
            raise UseError(f"{self.name}: {p.name} cannot be what outputs or scalars say: its head does not fit{at(self.source)}")

    def _argument(self, name: str, value: Any) -> Out:
        p = self._parameter(name)
        wanted = _dtype(p, self.name, self.source)
        if not p.array:
            return self._scalar(p, wanted, value)
        out = cast_to(value, wanted) if dtypes.is_weak(value) else as_symbol(value)
        if out.dtype != wanted:
            raise DTypeError(f"{self.name}: {name} points to {p.type} ({wanted}), {out.dtype} was given: cast it{at(here())}")
        return out

    def _scalar(self, p: Parameter, wanted: str, value: Any) -> Out:
        """An integer that is known before the kernel runs as it is, whatever its width; any other scalar in the parameter's dtype."""
        out = as_symbol(value)
        if out.ndim:
            raise RankError(f"{self.name}: {p.name} is a scalar, a tensor of {out.ndim} axes was given{at(here())}")
        if not (dtypes.is_int(out.dtype) or out.dtype == "bool" or (dtypes.is_float(out.dtype) and dtypes.is_float(wanted))):
            raise DTypeError(f"{self.name}: {p.name} is {p.type}, {out.dtype} was given: cast it{at(here())}")
        known = dtypes.is_int(out.dtype) and not dtypes.is_float(wanted) and dim_of(out) is not None
        return out if known else cast_to(out, wanted)

    def _shape(self, name: str, spec: Any, values: Sequence[Out]) -> list[Any]:
        if spec is None and name in self.inputs:
            spec = name
        if isinstance(spec, str):
            if spec not in self.inputs:
                raise UseError(f"{self.name}: the shape of {name} is said to be that of {spec}, which is no argument{at(self.source)}")
            return list(values[self.inputs.index(spec)].shape)
        if spec is None:
            raise UseError(f"{self.name}: outputs= must say the shape of {name}{at(self.source)}")
        return self._sizes(f"the shape of {name}", spec, values)

    def _sizes(self, what: str, spec: Any, values: Sequence[Out]) -> list[Any]:
        found = spec(*values) if callable(spec) else spec
        try:
            return [size_argument(n) for n in (found if isinstance(found, tuple | list) else (found,))]
        except TypeError as error:
            raise UseError(f"{self.name}: {what}: {error}") from error

    def _one(self, name: str, spec: Any, values: Sequence[Out]) -> Any:
        found = self._sizes(name, spec, values)
        if len(found) != 1:
            raise UseError(f"{self.name}: {name} is one number{at(self.source)}")
        return found[0]

    def _whole(self, shape: Sequence[Any]) -> Any:
        return dim_node(product(dim for dim in map(_known, shape)))

    def _own(self, ranks: tuple[int, ...], known: tuple[bool, ...], axes: int, grouped: bool) -> Own:
        """The step for results of these ranks, with these arguments known as integers."""
        key = (ranks, known, axes, grouped)
        if key not in self._made:
            numbers = [n for n, k in zip(self.inputs, known) if k] + [*self.scalars, *self.local]
            values = [n for n, k in zip(self.inputs, known) if not k]
            arguments = tuple(self._given(p, values, numbers) for p in self.parameters)
            outputs = tuple((_dtype(self._parameter(n), self.name, self.source), r) for n, r in zip(self.outputs, ranks))
            raw = RawSource(self.name, self.text, arguments, axes, grouped, self.fill, self.check, tuple(self.outputs), self.source)
            first = len(values) + sum(ranks) + axes * (1 + grouped)
            places = tuple(values.index(n) if not k else first + numbers.index(n) for n, k in zip(self.inputs, known))
            own = Own(self.name, len(values), outputs, self._meaning(outputs, places), self.source, self.pure, raw, places)
            self._made[key] = rows_of(own, by_lanes(own, self.rules, raw.within))
        return self._made[key]

    def _given(self, p: Parameter, values: Sequence[str], numbers: Sequence[str]) -> Argument:
        dtype = _dtype(p, self.name, self.source)
        if p.name in self.outputs:
            return Argument("output", list(self.outputs).index(p.name), dtype, values.index(p.name) if p.name in values else None,
                            alignment=self.alignment)
        if p.name in numbers:
            vector = _VECTOR.match(p.type)
            width = int(vector.group(2).replace("3", "4")) if vector else 1
            return Argument("local" if p.name in self.local else "size", numbers.index(p.name), dtype, width=width)
        return Argument("input" if p.array else "value", values.index(p.name), dtype, alignment=self.alignment)

    def _meaning(self, outputs: Sequence[tuple[str, int]], places: Sequence[int]) -> Callable[..., Any]:
        def run(values: Sequence[Array], shapes: Shapes, more: Sequence[int], source: Source | None) -> Sequence[Array]:
            if self.numpy is None:
                raise OwnOpError(f'{self.name} has no NumPy meaning, which device="numpy" needs: give numpy={at(self.source)}')
            every = [*values, *(n for shape in shapes for n in shape), *more]
            found = listed(self.numpy(*(every[k] for k in places)), len(outputs), f"numpy of {self.name}", OwnOpError, self.source)
            arrays = [np.asarray(a).astype(dtype) for a, (dtype, _) in zip(found, outputs)]
            for name, array, shape in zip(self.outputs, arrays, shapes):
                if array.shape != tuple(shape):
                    raise OwnOpError(f"numpy of {self.name} gave {name} with shape {array.shape}, {tuple(shape)} was expected{at(source)}")
            return arrays
        return run


def _known(size: Any) -> Any:
    found = dim_of(size_argument(size))
    assert found is not None
    return found


def _alignment(source: str, parameters: Sequence[Parameter]) -> int:
    """What the addresses of arrays must be multiples of: the bytes of the largest vector that the program has pointers to, since it may
    make pointers of other types of what it is given."""
    pointed = {m["type"] for pattern in _POINTED for m in pattern.finditer(source)} | {p.type for p in parameters if p.array}
    found = [m for m in map(_VECTOR.match, pointed) if m]
    return max((int(m.group(2).replace("3", "4")) * np.dtype(DTYPES[m.group(1)]).itemsize for m in found), default=1)


def _dtype(p: Parameter, name: str, source: Source | None) -> str:
    """The dtype of a parameter's elements; those of vectors are their components."""
    vector = _VECTOR.match(p.type)
    found = DTYPES.get(vector.group(1) if vector else p.type)
    if found is None or (vector and not p.array) or (found == "bool" and p.array):
        raise UseError(f"{name}: the parameter {p.name} of type {p.type!r} cannot be given: it takes numbers, and arrays of numbers and "
                       f"vectors{at(source)}")
    return found


def _kernel(tokens: Sequence[Token], name: str | None, source: Source | None) -> tuple[str, list[Parameter]]:
    """The name of the kernel that is meant and its parameters."""
    plain, found = [t.text for t in text.words(tokens) if t.kind != "directive"], dict[str, str]()
    for k, word in enumerate(plain):
        if word in ("kernel", "__kernel") and "void" in plain[k:]:
            begin = plain.index("void", k)
            if begin + 2 < len(plain) and plain[begin + 2] == "(":
                end, depth = begin + 3, 1
                while depth:
                    depth += (plain[end] == "(") - (plain[end] == ")")
                    end += 1
                found[plain[begin + 1]] = " ".join(plain[begin + 3:end - 1])
    if not found or (name is not None and name not in found) or (name is None and len(found) > 1):
        raise UseError(f"a RawKernel needs the name of one kernel of its source, which has {', '.join(found) or 'none'}; "
                       f"{name!r} was given{at(source)}")
    called = name or next(iter(found))
    return called, text.parameters(found[called], called, source)
