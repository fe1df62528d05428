"""C expressions as elementwise ops: `ElementwiseKernel`, fused like the rows of exprgraph's own.

The user's text becomes a helper function, which kernels call for each element.  Arrays are read and written at the element alone, so
`x[i]` is a parameter and `z[i]` a result.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import product
from exprgraph.errors import CallError, DTypeError, GradientError, NoMeaningError, OwnOpError, Source, UseError, at, defined, here, shortly
from exprgraph.named import NamedTuple
from exprgraph.node import OPERATORS, Op, Out, TensorType, as_symbol
from exprgraph.ops.create import iota
from exprgraph.ops.rows import quiet
from exprgraph.ops.shape import broadcast_to, dim_node, reshape
from exprgraph.own import text
from exprgraph.own.body import UNNAMED, body, in_lines
from exprgraph.own.made import Made, Recipe
from exprgraph.own.made import arguments as made_of
from exprgraph.own.meaning import meaning
from exprgraph.own.narrow import narrowed
from exprgraph.own.op import SILENT, called, fitted, listed, loses, plain
from exprgraph.own.text import DTYPES, SNIPPETS, Parameter, Snippet
from exprgraph.types import broadcast_dims, cast_to, dim_of, promoted, size_argument, size_dims

Forms = dict[str, str]


class ElementwiseKernel(Recipe):
    """A C expression, or statements, done for each element.

        eg.ElementwiseKernel("x, y", "2*x + y")                                       # any dtypes
        eg.ElementwiseKernel("float a, float *x, float b, float *y, float *z", "z[i] = a*x[i] + b*y[i]", "lin_comb")
        eg.ElementwiseKernel("T x, T y", "d = x - y; d *= d", outputs="T d")

    arguments: parameters as in C, or names alone; a type of one capital letter stands for the dtype to which its arguments are promoted.
    What the statements assign to is a result and no argument, unless they may read it first: then it is both.  outputs= says which are
    results alone, or the type of an expression.  `i` is the position of the element in the result, `n` the number of elements.
    preamble: functions and macros for the text.  The kernel is called with symbols, broadcasts as other ops do, and is fused with what
    surrounds it.  numpy: the same on arrays, which it can only read; device="numpy" needs it where the text is more than assignments of
    expressions (it is given i and n behind the inputs, where they are used).  grad: a function (g, y, *inputs) of symbols, or C
    expressions by the name of the input, over g, the outputs and the inputs.  forward(tangents, y, *inputs) and
    batch(inputs, mapped, size) are those of `as_op`.

    The text is compiled and run as it is: no text of somebody who is not trusted belongs here.
    """

    def __init__(self, arguments: str, operation: str, name: str = "elementwise", preamble: str = "", *, outputs: str | None = None,
                 numpy: Callable[..., Any] | None = None, grad: Callable[..., Any] | Mapping[str, str] | None = None,
                 forward: Callable[..., Any] | None = None, batch: Callable[..., Any] | None = None) -> None:
        self.given = made_of(locals())
        self.name, self.source, self.arguments, self.preamble = _name(name), here(), arguments, preamble
        what = f"ElementwiseKernel {self.name}"
        given = text.parameters(arguments, what, self.source)
        results = _results(outputs, what, self.source)
        self.tokens = text.read(in_lines(preamble), f"the preamble of {what}", self.source, preamble=True)
        self.operation = operation
        self.body = body(text.read(in_lines(operation), what, self.source), given, results, text.defined(self.tokens), what, self.source)
        self.numpy, self.forward, self.batch = numpy or self._meaning(), forward, batch
        self.grad = self._expressions(grad) if isinstance(grad, Mapping) else grad
        self._rows: dict[tuple[str, ...], tuple[Op, ...]] = {}
        self._snippets: list[Snippet] = []

    def __call__(self, *args: Any, shape: Any = None) -> Any:
        """The result for symbols, or a tuple of them.  shape: that of the result, to which arrays are broadcast."""
        self._count(args)
        values, letters = self._typed(args)
        given = shape if isinstance(shape, tuple | list) else [shape]
        sizes = None if shape is None else [size_argument(plain(n, "int64")) for n in given]
        values = values if sizes is None else self._spread(values, sizes)
        inputs = (*values, *self._positions(values, sizes))
        if not inputs:
            raise UseError(f"{self.name} has no arguments: give it some, or let it use i and pass shape={at(here())}")
        found = tuple(row.apply(inputs) for row in self.rows(tuple(v.dtype for v in inputs), letters))
        narrow = [letters.get(p.type, DTYPES.get(p.type, "")) for p in self.body.outputs]
        found = tuple(cast_to(o, t) if t in dtypes.NARROW else o for o, t in zip(found, narrow))
        return found[0] if len(found) == 1 else found

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def _count(self, args: Sequence[Any]) -> None:
        """CallError for another number of arguments than there are."""
        inputs, results = self.body.inputs, [p.name for p in self.body.outputs if p.name != UNNAMED]
        if len(args) != len(inputs):
            more = f"; results ({', '.join(results)}) are returned" if results else ""
            raise CallError(f"{self.name} takes {len(inputs)} argument{'s' * (len(inputs) != 1)} ({', '.join(p.name for p in inputs)}), "
                            f"{len(args)} given{more}{at(here())}")

    def row(self, key: tuple[tuple[str, ...], tuple[tuple[str, str], ...]], number: int) -> Op:
        """The row of an output for some dtypes."""
        return self.rows(key[0], dict(key[1]))[number]

    def rows(self, kinds: tuple[str, ...], letters: Forms) -> tuple[Op, ...]:
        """A row for each output, for inputs of these dtypes."""
        key = (*kinds, *(f"{k}={v}" for k, v in sorted(letters.items())))
        if key not in self._rows:
            rows: list[Op] = []
            types = {k: _wide(v) for k, v in letters.items()}
            names = self._define(types)
            outputs = tuple(types.get(p.type) or _wide(DTYPES[p.type]) for p in self.body.outputs)
            named = (kinds, tuple(sorted(letters.items())))
            rows.extend(_Row(self, k, outputs, rows, n).row(len(kinds), Made(self, named, k)) for k, n in enumerate(names))
            self._rows[key] = tuple(rows)
        return self._rows[key]

    def _meaning(self) -> Callable[..., Any] | None:
        """What the text means on arrays, where that can be told."""
        if text.defined(self.tokens) & {t.text for t in self.body.statements}:
            return None
        sides = [[(p.name, p.type) for p in side] for side in (self.body.inputs, self.body.outputs)]
        more = ["i"] * self.body.position + ["n"] * self.body.counted
        return meaning(self.body.statements, sides[0], sides[1], more)

    def _typed(self, args: Sequence[Any]) -> tuple[tuple[Out, ...], Forms]:
        """The arguments in the dtypes of their parameters, and what the letters stand for."""
        letters: Forms = {}
        known = [plain(a, DTYPES[p.type]) if p.type in DTYPES else a for a, p in zip(args, self.body.inputs)]
        solid = [a if dtypes.is_weak(a) else as_symbol(a) for a in known]
        for letter in dict.fromkeys(p.type for p in (*self.body.inputs, *self.body.outputs) if p.type not in DTYPES):
            own = [a for a, p in zip(solid, self.body.inputs) if p.type == letter]
            if not own:
                raise UseError(f"{self.name}: no argument tells which dtype {letter} is{at(here())}")
            letters[letter] = promoted(own)
        return tuple(self._cast(a, p, letters) for a, p in zip(solid, self.body.inputs)), letters

    def _cast(self, value: Any, parameter: Parameter, letters: Forms) -> Out:
        wanted = letters.get(parameter.type) or DTYPES[parameter.type]
        if dtypes.is_complex(wanted) or (isinstance(value, Out) and dtypes.is_complex(value.dtype)):
            raise DTypeError(f"{self.name} does not take complex numbers: pass eg.real(x) and eg.imag(x){at(here())}")
        if loses(value, wanted):
            raise DTypeError(f"{self.name}: {parameter.name} is {parameter.type}, which does not take {shortly(value)} without loss: cast "
                             f"it{at(here())}")
        if isinstance(value, Out) and parameter.type in DTYPES and not (value.dtype == wanted or _holds(wanted, value)):
            raise DTypeError(f"{self.name}: {parameter.name} is {parameter.type}, which does not take {value.dtype} without loss: cast it"
                             f"{at(here())}")
        if isinstance(value, Out) and parameter.type in DTYPES and dtypes.is_int(wanted) and not np.can_cast(value.dtype, wanted, "safe"):
            value = narrowed(value, wanted, f"{self.name}: {parameter.name} is {parameter.type}, which does not hold {{index}}")
        return cast_to(cast_to(value, wanted), _wide(wanted))

    def _spread(self, values: tuple[Out, ...], sizes: Sequence[Out]) -> tuple[Out, ...]:
        """The values so that the result has these sizes: arrays broadcast to them, or a scalar where nothing else has them."""
        alone = not self.body.position and not any(v.ndim for v in values)
        return tuple(broadcast_to(v, *sizes) if v.ndim or (alone and k == 0) else v for k, v in enumerate(values))

    def _positions(self, values: Sequence[Out], sizes: Sequence[Out] | None) -> tuple[Out, ...]:
        """What is given for i and n."""
        if not (self.body.position or self.body.counted):
            return ()
        if sizes is None:
            sizes = [dim_node(d) for d in broadcast_dims([v.type.shape for v in values])]
        whole = dim_node(product(size_dims(sizes)))
        return (reshape(iota(whole), *sizes),) * self.body.position + (whole,) * self.body.counted

    def _define(self, letters: Forms) -> list[str]:
        """Write the helper functions for these dtypes; their names."""
        body = self.body
        whole = text.name_of(self.arguments, text.renamed(body.statements, {}), self.preamble, repr(sorted(letters.items())),
                             repr(body.outputs))
        names = {w: f"{whole}_{w}" for w in text.defined(self.tokens)} | {k: text.C[v] for k, v in letters.items()}
        preamble = text.renamed(self.tokens, names)
        inside = names | {p.name: p.name for p in body.inputs} | {p.name: f"(*{p.name})" for p in body.outputs}
        statements = text.renamed(body.statements, inside, names)

        def c(parameter: Parameter) -> str:
            return text.C[letters.get(parameter.type) or DTYPES[parameter.type]]
        own = [f"{c(p)} {p.name}" for p in body.inputs] + ["long i"] * body.position + ["long n"] * body.counted
        fresh = {p.name for p in body.outputs} - {p.name for p in body.inputs}
        both = {p.name for p in body.outputs} - fresh
        head = [o for o, p in zip(own, body.inputs) if p.name not in both] + own[len(body.inputs):]
        results = [f"{c(p)} *{p.name}" for p in body.outputs]
        lines = [f"EG_INLINE void {whole}_all({', '.join([*head, *results])}) {{", statements, "}"]
        for k, wanted in enumerate(body.outputs):
            outs = [p.name if p.name in both else f"{whole}_{p.name}" for p in body.outputs]
            starts = " ".join(f"{c(p)} {whole}_{p.name} = 0;" for p in body.outputs if p.name in fresh)
            passed = [*(p.name for p in body.inputs if p.name not in both), *["i"] * body.position, *["n"] * body.counted]
            call = f"{whole}_all({', '.join([*passed, *(f'&{o}' for o in outs)])});"
            answer = outs[k] + " != 0" * (c(wanted) == "int" and (letters.get(wanted.type) or DTYPES[wanted.type]) == "bool")
            lines.append(f"EG_INLINE {c(wanted)} {whole}_{k}({', '.join(own)}) {{ {starts} {call} return {answer}; }}")
        parts = (preamble, lines[0], statements, "\n".join(lines[2:]) + "\n")
        made = Snippet("\n".join(parts), self.name, self.source, parts, (self.preamble, self.operation), whole)
        self._snippets.append(SNIPPETS.setdefault(whole, made))
        return [f"{whole}_{k}" for k in range(len(body.outputs))]

    def _slope(self, every: Sequence[str], parameter: Parameter, expression: str) -> ElementwiseKernel:
        """The kernel of a gradient; every: its parameters."""
        if not isinstance(expression, str) or ";" in expression:
            raise UseError(f"grad of {self.name} must be a C expression for {parameter.name}, not {shortly(expression)}{at(self.source)}")
        fresh = f"d_{parameter.name}"
        while any(e.split()[-1] == fresh for e in every):
            fresh += "_"
        return ElementwiseKernel(", ".join(every), f"{fresh} = {expression}", f"{self.name}_grad", self.preamble,
                                 outputs=f"{parameter.type} {fresh}")

    def _expressions(self, given: Mapping[str, str]) -> Callable[..., Any]:
        """The gradient that C expressions say."""
        inputs, outputs = self.body.inputs, self.body.outputs
        unknown = set(given) - {p.name for p in inputs}
        if unknown:
            raise UseError(f"grad of {self.name} speaks of {', '.join(sorted(unknown))}; its inputs are {', '.join(p.name for p in inputs)}"
                           f"{at(self.source)}")
        heads = ["g"] if len(outputs) == 1 else [f"g_{p.name}" for p in outputs]
        told = [p not in inputs and p.name != UNNAMED for p in outputs]
        for h in set(heads) & {p.name for p in (*inputs, *outputs)}:
            raise UseError(f"grad of {self.name}: {h} is the cotangent in C expressions, so no parameter can be called {h}: rename it, or "
                           f"give a function{at(self.source)}")
        every = [f"{p.type} {h}" for p, h in zip(outputs, heads)] + [f"{p.type} {p.name}" for p, t in zip(outputs, told) if t]
        every += [f"{p.type} {p.name}" for p in inputs]
        made = {p.name: self._slope(every, p, given[p.name]) for p in inputs if p.name in given}

        def grad(g: Any, y: Any, *values: Out) -> tuple[Out | None, ...]:
            gs, ys = (g, y) if isinstance(g, tuple) else ((g,), (y,))
            own = [*gs, *(v for v, t in zip(ys, told) if t), *values]
            return tuple(made[p.name](*own) if p.name in made else None for p in inputs)
        return grad


def _results(outputs: str | None, what: str, source: Source | None) -> list[Parameter]:
    """The results that the user names; a type alone is that of an expression."""
    if isinstance(outputs, str) and " ".join(outputs.split()) in DTYPES:
        return [Parameter(UNNAMED, " ".join(outputs.split()), False)]
    return text.parameters(outputs, what, source) if outputs is not None else []


def _holds(dtype: str, value: Out) -> bool:
    """Whether a dtype takes a tensor: any of its values, or those of an integer scalar that is checked before the call runs."""
    if dtypes.BFLOAT in (value.dtype, dtype) or np.can_cast(value.dtype, dtype, "safe"):
        return True
    size = dim_of(value) if dtypes.is_int(dtype) and dtypes.is_int(value.dtype) and not value.ndim else None
    return size is not None and (size.const is None or dtypes.fits(size.const, dtype))


class TextOp(Op):
    """The row of an output of a kernel; `source` is the line where the user made that."""
    __slots__ = ("source", "made")

    def __init__(self, source: Source, made: Made, *args: Any, **fields: Any) -> None:
        self.source, self.made = source, made
        super().__init__(*args, **fields)


class _Row(NamedTuple):
    """What a row is made of: the kernel, which output, the dtypes of all, the rows of all, and the helper function's name."""
    kernel: ElementwiseKernel
    number: int
    outputs: tuple[str, ...]
    rows: list[Op]
    function: str

    def row(self, arity: int, made: Made) -> Op:
        """The row of an output."""
        kernel = self.kernel
        spelled = f"{self.function}({', '.join(f'{{{k}}}' for k in range(arity))})"
        flags = frozenset(["expensive"] * kernel.body.heavy + [SILENT] * (kernel.numpy is None))
        return TextOp(kernel.source, made, kernel.name, "elementwise", quiet(self._meaning), self._accept, self._infer,
                      self._grad if kernel.grad else None, {"*": spelled}, flags=flags,
                      forward=self._forward if kernel.forward else None, batch=self._batch if kernel.batch else None)

    def _accept(self, *args: Any) -> Any:
        raise TypeError("the row of a kernel is applied by the object that the user made")

    def _infer(self, inputs: tuple[Out, ...], **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(self.outputs[self.number], broadcast_dims([i.type.shape for i in inputs])),)

    def _meaning(self, *arrays: Any) -> Any:
        kernel, what = self.kernel, f"numpy of {self.kernel.name}"
        if kernel.numpy is None:
            raise NoMeaningError(f'{kernel.name} has no NumPy meaning, which device="numpy" needs: give numpy={defined(kernel.source)}')
        found = called(kernel.numpy, arrays, what, defined(kernel.source))
        given = listed(found, len(self.outputs), what, OwnOpError, None)[self.number]
        return fitted(given, self.outputs[self.number], np.broadcast_shapes(*(np.shape(a) for a in arrays)), what, kernel.source)

    def _all(self, y: Out, inputs: tuple[Out, ...]) -> Any:
        if len(self.rows) == 1:
            return y
        return tuple(y if k == self.number else r.apply(inputs, (), y.node.sources) for k, r in enumerate(self.rows))

    def _grad(self, g: Out, y: Out, *inputs: Out) -> tuple[Out | None, ...]:
        assert callable(self.kernel.grad)
        arity, ys = len(self.kernel.body.inputs), self._all(y, inputs)
        gs = g if len(self.rows) == 1 else tuple(g if k == self.number else OPERATORS["zeros_like"](o) for k, o in enumerate(ys))
        found = listed(self.kernel.grad(gs, ys, *inputs[:arity]), arity, f"grad of {self.kernel.name}", GradientError, self.kernel.source)
        return *found, *(None,) * (len(inputs) - arity)

    def _forward(self, tangents: Sequence[Out | None], y: Out, *inputs: Out) -> Any:
        assert self.kernel.forward is not None
        arity = len(self.kernel.body.inputs)
        found = self.kernel.forward(tuple(tangents[:arity]), self._all(y, inputs), *inputs[:arity])
        return listed(found, len(self.rows), f"forward of {self.kernel.name}", GradientError, self.kernel.source)[self.number]

    def _batch(self, inputs: Sequence[Out], mapped: Sequence[bool], size: Out) -> Any:
        assert self.kernel.batch is not None
        arity = len(self.kernel.body.inputs)
        found = self.kernel.batch(tuple(inputs[:arity]), tuple(mapped[:arity]), size)
        return listed(found, len(self.rows), f"batch of {self.kernel.name}", OwnOpError, self.kernel.source)[self.number]


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise UseError(f"the name of a kernel must be an identifier, not {shortly(name)}{at(here())}")
    return name


def _wide(dtype: str) -> str:
    """The dtype in which values of a dtype are computed."""
    return "float32" if dtype in dtypes.NARROW else dtype
