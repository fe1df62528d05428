"""Expressions as sympy expressions, by a table of counterparts; sympy is imported when it is asked for."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from exprgraph import dtypes
from exprgraph.errors import UseError, at, here
from exprgraph.labels import number_text
from exprgraph.node import CONSTANT, Node, Out, as_symbol, constant_value

Build = Callable[..., Any]

BOTH = {
    "add": "Add", "mul": "Mul", "pow": "Pow", "abs": "Abs", "sign": "sign", "mod": "Mod", "exp": "exp", "log": "log", "sin": "sin",
    "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "sinh": "sinh", "cosh": "cosh",
    "tanh": "tanh", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "erf": "erf", "erfc": "erfc", "floor": "floor",
    "ceil": "ceiling", "maximum": "Max", "minimum": "Min", "lt": "StrictLessThan", "le": "LessThan", "gt": "StrictGreaterThan",
    "ge": "GreaterThan", "eq": "Equality", "neq": "Unequality", "and_": "And", "or_": "Or", "xor": "Xor", "invert": "Not"}
"""Row name -> sympy class, where the two mean the same; read in both directions."""

TO: dict[str, Build] = {
    "sub": lambda S, a, b: a - b, "true_div": lambda S, a, b: a / b, "int_div": lambda S, a, b: S.floor(a / b), "neg": lambda S, x: -x,
    "sqr": lambda S, x: x**2, "sqrt": lambda S, x: S.sqrt(x), "rsqrt": lambda S, x: 1 / S.sqrt(x), "reciprocal": lambda S, x: 1 / x,
    "deg2rad": lambda S, x: x * S.pi / 180, "rad2deg": lambda S, x: x * 180 / S.pi, "exp2": lambda S, x: 2**x,
    "expm1": lambda S, x: S.exp(x) - 1, "log1p": lambda S, x: S.log(x + 1), "log2": lambda S, x: S.log(x, 2),
    "log10": lambda S, x: S.log(x, 10), "sigmoid": lambda S, x: 1 / (S.exp(-x) + 1), "softplus": lambda S, x: S.log(S.exp(x) + 1),
    "logaddexp": lambda S, a, b: S.log(S.exp(a) + S.exp(b)), "hypot": lambda S, a, b: S.sqrt(a**2 + b**2),
    "relu": lambda S, x: S.Max(x, 0), "clip": lambda S, x, low, high: S.Min(S.Max(x, low), high),
    "switch": lambda S, c, a, b: S.Piecewise((a, c), (b, True)), "trunc": lambda S, x: _truncated(S, x),
    "round_half_to_even": lambda S, x: S.floor(x + S.Rational(1, 2)) - S.Piecewise((1, S.Eq(S.Mod(x + S.Rational(1, 2), 2), 1)), (0, True)),
    "round_half_away_from_zero": lambda S, x: S.sign(x) * S.floor(S.Abs(x) + S.Rational(1, 2)),
    "left_shift": lambda S, a, b: a * 2**b, "right_shift": lambda S, a, b: S.floor(a / 2**b),
    "identity": lambda S, x: x, "second": lambda S, a, b: b, "disconnected_grad": lambda S, x: x, "zero_grad": lambda S, x: x,
    "assume": lambda S, x: x,
    "broadcast_to": lambda S, x: x}
"""Row name -> sympy expression, where sympy has no function of that meaning."""

TO_BOOL = {"add": "Or", "maximum": "Or", "or_": "Or", "mul": "And", "minimum": "And", "and_": "And", "xor": "Xor", "neq": "Xor",
           "eq": "Equivalent", "invert": "Not", "le": "Implies"}
"""What rows are on bool; and_, or_, xor and invert are in no other table, since on integers they are about bits."""
BITS = ("and_", "or_", "xor", "invert")


def _truncated(S: Any, x: Any) -> Any:
    return S.sign(x) * S.floor(S.Abs(x))


def _cast(S: Any, x: Any, old: str, new: str) -> Any:
    """Between number types a cast is transparent, but for float to integer; bool and numbers are different things to sympy."""
    if old == new or (old != "bool" and new == "bool"):
        return x if old == new else S.Ne(x, 0)
    if old == "bool":
        return S.Piecewise((1, x), (0, True))
    return _truncated(S, x) if dtypes.is_float(old) and dtypes.is_int(new) else x


def number(S: Any, out: Out) -> Any:
    """A constant whose elements are all equal, exactly: Integer, Rational for short binary fractions, else Float; None for others."""
    value = constant_value(out)
    if value is None or not value.size or not (value == value.flat[0]).all() and value.size > 1:
        return None
    element = value.flat[0]
    if value.dtype == bool:
        return S.true if element else S.false
    if value.dtype.kind in "iu":
        return S.Integer(int(element))
    top, bottom = float(element).as_integer_ratio() if abs(float(element)) < float("inf") else (0, 0)
    if 0 < bottom <= 1024:
        return S.Rational(top, bottom)
    return S.Float(number_text(element), 15 if value.dtype.itemsize == 4 else 17) if bottom else S.sympify(float(element))


def counterpart(S: Any, node: Node, parts: Sequence[Any]) -> Any:
    """What one elementwise row makes of sympy expressions; None where sympy has no counterpart."""
    name, old = node.op.name, node.inputs[-1].dtype if node.inputs else ""
    if name == "cast":
        return _cast(S, parts[0], old, node.outs[0].dtype)
    if old == "bool" and name in TO_BOOL:
        return getattr(S, TO_BOOL[name])(*parts)
    if name == "dimshuffle":
        return parts[0] if _leading(node) else None
    if name in TO:
        return TO[name](S, *parts)
    return getattr(S, BOTH[name])(*parts) if name in BOTH and name not in BITS else None


def _leading(node: Node) -> bool:
    """Whether a dimshuffle only puts new axes before the others, as broadcasting does."""
    pattern, ndim = node.param("pattern"), node.inputs[0].ndim
    return bool(pattern == (-1,) * (len(pattern) - ndim) + tuple(range(ndim)))


def _operands(node: Node) -> Sequence[Out]:
    """What the elements of a node are made of: not the sizes that a broadcast is given."""
    return node.inputs[:1] if node.op.name == "broadcast_to" else node.inputs


def _fresh(name: str | None, taken: set[str]) -> str:
    base = name or "x"
    chosen = next(text for k in count() if (text := f"{base}_{k}" if k else base) not in taken)
    taken.add(chosen)
    return chosen


def translate(S: Any, expr: Out, symbols: Mapping[Out, Any], other: Callable[[Node, Sequence[Any]], Any]) -> Any:
    """An expression in sympy; `other` is asked for nodes that have no counterpart.  UseError where it is too deep for sympy."""
    try:
        return _translate(S, expr, symbols, other)
    except RecursionError:
        raise UseError(f"the expression is nested too deeply for sympy, which works by recursion{at(here())}") from None


def _translate(S: Any, expr: Out, symbols: Mapping[Out, Any], other: Callable[[Node, Sequence[Any]], Any]) -> Any:
    done: dict[Node, Any] = {o.node: s for o, s in symbols.items()}
    taken = {str(s) for s in symbols.values()}
    todo = [expr]
    while todo:
        node = todo[-1].node
        if node in done:
            todo.pop()
        elif waiting := [i for i in _operands(node) if i.node not in done]:
            todo += waiting[::-1]
        else:
            parts = [done[i.node] for i in _operands(node)]
            found = _translated(S, todo.pop(), parts, taken)
            done[node] = other(node, parts) if found is None else found
    return done[expr.node]


def _translated(S: Any, out: Out, parts: Sequence[Any], taken: set[str]) -> Any:
    if out.node.op is CONSTANT:
        return number(S, out)
    if out.node.op.kind == "leaf":
        return S.Symbol(_fresh(out.name, taken))
    return counterpart(S, out.node, parts) if len(out.node.outs) == 1 else None


def _refuse(node: Node, parts: Sequence[Any]) -> Any:
    what = f"the constant of type {node.outs[0]}" if node.op is CONSTANT else f"{node.op.name}"
    raise UseError(f"to_sympy: {what} has no counterpart in sympy; scalar and elementwise expressions have{at(node.source)}")


def to_sympy(expr: Out, symbols: Mapping[Out, Any] | None = None) -> Any:
    """A scalar or elementwise expression as a sympy expression over symbols of the inputs' names.

    symbols: input -> sympy symbol, where another one is wanted (one with assumptions, say).  Integers and short binary fractions stay
    exact, float casts are transparent, `switch` becomes a Piecewise.  Inputs of one name get numbers.  UseError, a TypeError, with the
    user's line for an op or constant that sympy has no counterpart of.
    """
    import sympy
    return translate(sympy, as_symbol(expr), symbols or {}, _refuse)


def rows() -> Iterator[str]:
    """The names of the rows that `to_sympy` takes."""
    yield from {*BOTH, *TO, "cast"}
