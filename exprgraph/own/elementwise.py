"""C expressions as elementwise ops: `ElementwiseKernel`, fused like the rows of exprgraph's own.

The user's text becomes a helper function, which kernels call for each element.  Arrays are read and written at the element alone, so
`x[i]` is a parameter and `z[i]` a result.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from exprgraph import dtypes
from exprgraph.dims import product
from exprgraph.errors import CallError, DTypeError, GradientError, OwnOpError, Source, UseError, at, here
from exprgraph.node import OPERATORS, Op, Out, TensorType, as_symbol
from exprgraph.ops.create import iota
from exprgraph.ops.rows import quiet
from exprgraph.ops.shape import dim_node, reshape
from exprgraph.own import text
from exprgraph.own.meaning import meaning
from exprgraph.own.op import listed, loses
from exprgraph.own.text import ASSIGNING, CONTROL, DTYPES, SNIPPETS, Parameter, Snippet, Token
from exprgraph.types import broadcast_dims, cast_to, promoted, size_argument, size_dims

Forms = dict[str, str]
UNNAMED = "own_result"
"""The name of the result of an expression that says none; no text of a user's can contain it."""


class Body(NamedTuple):
    """What a text means: the statements over parameters, what is given to it and what it gives, and whether it asks for the position of
    the element (i) and their number (n)."""
    statements: tuple[Token, ...]
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    position: bool
    counted: bool
    heavy: bool


class ElementwiseKernel:
    """A C expression, or statements, done for each element.

        eg.ElementwiseKernel("x, y", "2*x + y")                                       # any dtypes
        eg.ElementwiseKernel("float a, float *x, float b, float *y, float *z", "z[i] = a*x[i] + b*y[i]", "lin_comb")
        eg.ElementwiseKernel("T x, T y", "d = x - y; d *= d", outputs="T d")

    arguments: parameters as in C, or names alone; a type of one capital letter stands for whatever dtype the arguments have.  What the
    statements assign to is a result and no argument, unless they may read it first: then it is both.  outputs= says which are results
    alone.  `i` is the position of the element in the result, `n` the number of elements.  preamble: functions and macros for the text.
    The kernel is called with symbols, broadcasts as other ops do, and is fused with what surrounds it.  numpy: the same on arrays, which
    device="numpy" needs where the text is more than assignments of expressions (it is given i and n behind the inputs, where they are
    used).  grad: a function (g, y, *inputs) of symbols, or C expressions by the name of the input, over g, the outputs and the inputs.
    forward(tangents, y, *inputs) and batch(inputs, mapped, size) are those of `as_op`.

    The text is compiled and run as it is: no text of somebody who is not trusted belongs here.
    """

    def __init__(self, arguments: str, operation: str, name: str = "elementwise", preamble: str = "", *, outputs: str | None = None,
                 numpy: Callable[..., Any] | None = None, grad: Callable[..., Any] | Mapping[str, str] | None = None,
                 forward: Callable[..., Any] | None = None, batch: Callable[..., Any] | None = None) -> None:
        self.name, self.source, self.arguments, self.preamble = _name(name), here(), arguments, preamble
        what = f"ElementwiseKernel {self.name}"
        given = text.parameters(arguments, what, self.source)
        results = text.parameters(outputs, what, self.source) if outputs is not None else []
        self.tokens = text.read(preamble, f"the preamble of {what}", self.source, preamble=True)
        self.body = _body(text.read(operation, what, self.source), given, results, what, self.source)
        self.numpy, self.forward, self.batch = numpy or self._meaning(), forward, batch
        self.grad = self._expressions(grad) if isinstance(grad, Mapping) else grad
        self._rows: dict[tuple[str, ...], tuple[Op, ...]] = {}
        self._snippets: list[Snippet] = []

    def __call__(self, *args: Any, shape: Any = None) -> Any:
        """The result for symbols, or a tuple of them.  shape: that of the result, where there are no arguments to tell."""
        body = self.body
        if len(args) != len(body.inputs):
            raise CallError(f"{self.name} takes {len(body.inputs)} arguments ({', '.join(p.name for p in body.inputs)}), {len(args)} given"
                            f"; results ({', '.join(p.name for p in body.outputs)}) are returned{at(here())}")
        values, letters = self._typed(args)
        inputs = (*values, *self._positions(values, shape))
        if not inputs:
            raise UseError(f"{self.name} has no arguments: give it some, or let it use i and pass shape={at(here())}")
        found = tuple(row.apply(inputs) for row in self.rows(tuple(v.dtype for v in inputs), letters))
        narrow = [letters.get(p.type, DTYPES.get(p.type, "")) for p in body.outputs]
        found = tuple(cast_to(o, t) if t in dtypes.NARROW else o for o, t in zip(found, narrow))
        return found[0] if len(found) == 1 else found

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def rows(self, kinds: tuple[str, ...], letters: Forms) -> tuple[Op, ...]:
        """A row for each output, for inputs of these dtypes."""
        key = (*kinds, *(f"{k}={v}" for k, v in sorted(letters.items())))
        if key not in self._rows:
            rows: list[Op] = []
            types = {k: _wide(v) for k, v in letters.items()}
            names = self._define(types)
            outputs = tuple(types.get(p.type) or _wide(DTYPES[p.type]) for p in self.body.outputs)
            rows.extend(_Row(self, k, outputs, rows, n).row(len(kinds)) for k, n in enumerate(names))
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
        solid = [a if dtypes.is_weak(a) else as_symbol(a) for a in args]
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
            raise DTypeError(f"{self.name}: {parameter.name} is {parameter.type}, which does not take {value!r} without loss: cast it"
                             f"{at(here())}")
        if isinstance(value, Out) and value.dtype != wanted and dtypes.BFLOAT not in (value.dtype, wanted) and not (
                np.can_cast(value.dtype, wanted, "safe")):
            raise DTypeError(f"{self.name}: {parameter.name} is {parameter.type}, which does not take {value.dtype} without loss: cast it"
                             f"{at(here())}")
        return cast_to(cast_to(value, wanted), _wide(wanted))

    def _positions(self, values: Sequence[Out], shape: Any) -> tuple[Out, ...]:
        """What is given for i and n."""
        if not (self.body.position or self.body.counted):
            return ()
        if shape is None:
            sizes = [dim_node(d) for d in broadcast_dims([v.type.shape for v in values])]
        else:
            sizes = [size_argument(s) for s in (shape if isinstance(shape, tuple | list) else (shape,))]
        whole = dim_node(product(size_dims(sizes)))
        return (reshape(iota(whole), *sizes),) * self.body.position + (whole,) * self.body.counted

    def _define(self, letters: Forms) -> list[str]:
        """Write the helper functions for these dtypes; their names."""
        body = self.body
        whole = text.name_of(self.arguments, text.renamed(body.statements, {}), self.preamble, repr(sorted(letters.items())),
                             repr(body.outputs))
        names = {w: f"{whole}_{w}" for w in text.defined(self.tokens)} | {k: text.C[v] for k, v in letters.items()}
        preamble = text.renamed(self.tokens, names)
        statements = text.renamed(body.statements, names | {p.name: f"(*{p.name})" for p in body.outputs})

        def c(parameter: Parameter) -> str:
            return text.C[letters.get(parameter.type) or DTYPES[parameter.type]]
        own = [f"{c(p)} {p.name}" for p in body.inputs] + ["long i"] * body.position + ["long n"] * body.counted
        fresh = {p.name for p in body.outputs} - {p.name for p in body.inputs}
        both = {p.name for p in body.outputs} - fresh
        inside = [o for o, p in zip(own, body.inputs) if p.name not in both] + own[len(body.inputs):]
        results = [f"{c(p)} *{p.name}" for p in body.outputs]
        lines = [preamble, f"EG_INLINE void {whole}_all({', '.join([*inside, *results])}) {{", statements, "}"]
        for k, wanted in enumerate(body.outputs):
            outs = [p.name if p.name in both else f"{whole}_{p.name}" for p in body.outputs]
            starts = " ".join(f"{c(p)} {whole}_{p.name} = 0;" for p in body.outputs if p.name in fresh)
            passed = [*(p.name for p in body.inputs if p.name not in both), *["i"] * body.position, *["n"] * body.counted]
            call = f"{whole}_all({', '.join([*passed, *(f'&{o}' for o in outs)])});"
            answer = outs[k] + " != 0" * (c(wanted) == "int" and (letters.get(wanted.type) or DTYPES[wanted.type]) == "bool")
            lines.append(f"EG_INLINE {c(wanted)} {whole}_{k}({', '.join(own)}) {{ {starts} {call} return {answer}; }}")
        self._snippets.append(SNIPPETS.setdefault(whole, Snippet("\n".join(lines) + "\n", self.name, self.source)))
        return [f"{whole}_{k}" for k in range(len(body.outputs))]

    def _expressions(self, given: Mapping[str, str]) -> Callable[..., Any]:
        """The gradient that C expressions say."""
        inputs, outputs = self.body.inputs, self.body.outputs
        unknown = set(given) - {p.name for p in inputs}
        if unknown:
            raise UseError(f"grad of {self.name} speaks of {', '.join(sorted(unknown))}; its inputs are {', '.join(p.name for p in inputs)}"
                           f"{at(self.source)}")
        heads = ["g"] if len(outputs) == 1 else [f"g_{p.name}" for p in outputs]
        told = [p not in inputs and p.name != UNNAMED for p in outputs]
        every = [f"{p.type} {h}" for p, h in zip(outputs, heads)] + [f"{p.type} {p.name}" for p, t in zip(outputs, told) if t]
        every += [f"{p.type} {p.name}" for p in inputs]
        made = {k: ElementwiseKernel(", ".join(every), f"d_{k} = {e}", f"{self.name}_grad", self.preamble,
                                     outputs=f"{next(p.type for p in inputs if p.name == k)} d_{k}") for k, e in given.items()}

        def grad(g: Any, y: Any, *values: Out) -> tuple[Out | None, ...]:
            gs, ys = (g, y) if isinstance(g, tuple) else ((g,), (y,))
            own = [*gs, *(v for v, t in zip(ys, told) if t), *values]
            return tuple(made[p.name](*own) if p.name in made else None for p in inputs)
        return grad


class _Row(NamedTuple):
    """What a row is made of: the kernel, which output, the dtypes of all, the rows of all, and the helper function's name."""
    kernel: ElementwiseKernel
    number: int
    outputs: tuple[str, ...]
    rows: list[Op]
    function: str

    def row(self, arity: int) -> Op:
        """The row of an output."""
        kernel = self.kernel
        spelled = f"{self.function}({', '.join(f'{{{k}}}' for k in range(arity))})"
        flags = frozenset({"expensive"} if kernel.body.heavy else ())
        return Op(kernel.name, "elementwise", quiet(self._meaning), self._accept, self._infer, self._grad if kernel.grad else None,
                  {"*": spelled}, flags=flags, forward=self._forward if kernel.forward else None,
                  batch=self._batch if kernel.batch else None)

    def _accept(self, *args: Any) -> Any:
        raise TypeError("the row of a kernel is applied by the object that the user made")

    def _infer(self, inputs: tuple[Out, ...], **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(self.outputs[self.number], broadcast_dims([i.type.shape for i in inputs])),)

    def _meaning(self, *arrays: Any) -> Any:
        kernel = self.kernel
        if kernel.numpy is None:
            raise OwnOpError(f'{kernel.name} has no NumPy meaning, which device="numpy" needs: give numpy={at(kernel.source)}')
        found = listed(kernel.numpy(*arrays), len(self.outputs), f"numpy of {kernel.name}", OwnOpError, kernel.source)[self.number]
        whole = np.broadcast_shapes(*(np.shape(a) for a in arrays))
        return np.broadcast_to(np.asarray(found).astype(self.outputs[self.number]), whole)

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
        raise UseError(f"the name of a kernel must be an identifier, not {name!r:.60}{at(here())}")
    return name


def _wide(dtype: str) -> str:
    """The dtype in which values of a dtype are computed."""
    return "float32" if dtype in dtypes.NARROW else dtype


def _body(tokens: list[Token], given: Sequence[Parameter], results: Sequence[Parameter], what: str, source: Source | None) -> Body:
    """The statements with elements in place of arrays, and what is given and what results."""
    for p in (*given, *results):
        if p.type not in DTYPES and not (len(p.type) == 1 and p.type.isupper()):
            raise UseError(f"{what}: the type {p.type!r} of {p.name} is not known; known are {', '.join(DTYPES)} and letters like T"
                           f"{at(source)}")
    tokens, every = _elements(tokens, [*given, *results], what, source), [*given, *results]
    plain = text.words(tokens)
    if not any(t.text in (";", *ASSIGNING) for t in plain):
        results = results or [Parameter(UNNAMED, _common(given), False)]
        tokens = [Token("word", results[0].name), Token("sign", "="), *tokens]
        inputs, outputs = list(given), list(results)
    else:
        changed = [p for p in given if p.array and _is_assigned(p, plain)]
        outputs = [*changed, *results]
        inputs = [p for p in given if p not in changed or _is_read_first(p, plain)]
    if not outputs:
        raise UseError(f"{what} assigns to none of its arrays and is no expression: write \"z[i] = ...\" or give outputs={at(source)}")
    used = {t.text for t in plain if t.kind == "word"} - {p.name for p in every}
    heavy = bool(used & set(CONTROL)) or any(a.kind == "word" and b.text == "(" for a, b in zip(plain, plain[1:]))
    tokens = [*tokens, Token("sign", ";")] if plain and plain[-1].text not in (";", "}") else tokens
    return Body(tuple(tokens), tuple(inputs), tuple(outputs), "i" in used and _is_free("i", plain), "n" in used and _is_free("n", plain),
                heavy)


def _common(given: Sequence[Parameter]) -> str:
    """The type of an expression: that of the parameters, promoted."""
    kinds = list(dict.fromkeys(p.type for p in given))
    if len(kinds) == 1 or any(k not in DTYPES for k in kinds):
        return next((k for k in kinds if k not in DTYPES), kinds[0] if kinds else "T")
    return dtypes.promote([DTYPES[k] for k in kinds])


def _elements(tokens: list[Token], every: Sequence[Parameter], what: str, source: Source | None) -> list[Token]:
    """The tokens with x for x[i]; UseError where another element is asked for."""
    names, found, skip = {p.name for p in every}, list[Token](), 0
    plain = [(k, t) for k, t in enumerate(tokens) if t.kind != "space"]
    after = {k: [t.text for _, t in plain[n + 1:n + 4]] for n, (k, _) in enumerate(plain)}
    for k, token in enumerate(tokens):
        if skip and token.kind != "space":
            skip -= 1
            continue
        found.append(token)
        if token.kind == "word" and token.text in names and after[k][:1] == ["["]:
            if after[k] != ["[", "i", "]"]:
                raise UseError(f"{what} asks for another element of {token.text} than {token.text}[i]: a RawKernel can{at(source)}")
            skip = 3
    return found


def _is_assigned(parameter: Parameter, plain: Sequence[Token]) -> bool:
    return any(t.text == parameter.name and (_text(plain, k + 1) in ASSIGNING or _text(plain, k - 1) in ("++", "--"))
               for k, t in enumerate(plain))


def _is_read_first(parameter: Parameter, plain: Sequence[Token]) -> bool:
    """Whether an array that is assigned to may be read before, or kept."""
    first = next(k for k, t in enumerate(plain) if t.text == parameter.name)
    before = [t.text for t in plain[:first]]
    nested = before.count("{") != before.count("}") or "return" in before or "goto" in before
    again = any(t.text == parameter.name for t in plain[first + 1:_end(plain, first)])
    return nested or again or _text(plain, first + 1) != "=" or _text(plain, first - 1) not in (";", "", "}")


def _end(plain: Sequence[Token], begin: int) -> int:
    return next((k for k in range(begin, len(plain)) if plain[k].text == ";"), len(plain))


def _text(plain: Sequence[Token], k: int) -> str:
    return plain[k].text if 0 <= k < len(plain) else ""


def _is_free(name: str, plain: Sequence[Token]) -> bool:
    """Whether a name is not declared by the text itself: never behind a type."""
    return not any(t.text == name and k and plain[k - 1].kind == "word" and plain[k - 1].text not in ("return", "else", "case")
                   for k, t in enumerate(plain))
