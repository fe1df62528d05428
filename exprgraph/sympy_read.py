"""Sympy expressions as tensor expressions; sympy is imported when it is asked for."""
from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from exprgraph.errors import GraphError, at, here
from exprgraph.labels import name_text
from exprgraph.node import Out, as_symbol
from exprgraph.ops.table import ROWS
from exprgraph.sympy_write import BOTH

Build = Callable[..., Any]


def _fold(name: str) -> Build:
    return lambda *values: functools.reduce(ROWS[name], values)


def _negative(term: Any) -> bool:
    """Whether a term is written with a minus sign."""
    return bool(term.as_coeff_Mul()[0].is_negative)


def _power(top: Any) -> tuple[list[Any], Build]:
    """The parts of a power and what to make of them: the exponents that have rows of their own, else `pow`."""
    base, exponent = top.args
    if not exponent.is_Rational:
        return ([base**-exponent], ROWS["reciprocal"]) if _negative(exponent) else ([base, exponent], ROWS["pow"])
    if exponent.q == 1 and exponent > 0:
        return ([base], ROWS["sqr"]) if exponent == 2 else ([base], lambda x: ROWS["pow"](x, int(exponent)))
    if exponent.q == 2 and abs(exponent.p) == 1:
        return [base], ROWS["sqrt" if exponent > 0 else "rsqrt"]
    if exponent < 0:
        return [base**-exponent], ROWS["reciprocal"]
    return [base], lambda x: ROWS["pow"](x, float(exponent))


def _product(top: Any) -> tuple[list[Any], Build]:
    """Products as quotients: negative powers and denominators divide, a factor -1 is a sign."""
    above, below = [], []
    for factor in top.args:
        if factor.is_Rational and factor.q != 1:
            top_part, bottom_part = factor.as_numer_denom()
            above += [top_part] * (factor.p != 1)
            below.append(bottom_part)
        elif factor.is_Pow and _negative(factor.exp):
            below.append(factor.base**-factor.exp)
        else:
            above.append(factor)
    minus = bool(above) and above[0] == -1
    above = above[1:] if minus else above

    def build(*values: Any) -> Any:
        value = functools.reduce(ROWS["mul"], values[:len(above)]) if above else 1
        value = ROWS["true_div"](value, functools.reduce(ROWS["mul"], values[len(above):])) if below else value
        return ROWS["neg"](value) if minus else value
    return above + below, build


def _sum(top: Any) -> tuple[list[Any], Build]:
    """Sums with the terms of negative coefficient subtracted, after the others."""
    negative = [t for t in top.args if _negative(t)]
    positive = [t for t in top.args if not _negative(t)]

    def build(*values: Any) -> Any:
        total = functools.reduce(ROWS["add"], values[:len(positive)]) if positive else ROWS["neg"](values[0])
        return functools.reduce(ROWS["sub"], values[max(len(positive), 1):], total)
    return positive + [-t for t in negative], build


def _piecewise(top: Any) -> tuple[list[Any], Build]:
    """Choices from the last to the first; NaN where no condition holds, as in sympy."""
    pairs = list(top.args)

    def build(*values: Any) -> Any:
        rest: Any = float("nan")
        for value, condition in reversed([*zip(values[::2], values[1::2])]):
            rest = value if condition is True else ROWS["switch"](condition, value, rest)
        return rest
    return [part for pair in pairs for part in pair.args], build


SHAPED: dict[str, Callable[[Any], tuple[list[Any], Build]]] = {"Pow": _power, "Mul": _product, "Add": _sum, "Piecewise": _piecewise}

FROM: dict[str, Build] = {
    **{sympy_name: ROWS[name] for name, sympy_name in BOTH.items()},
    **{name: _fold(row) for name, row in (("Max", "maximum"), ("Min", "minimum"), ("And", "and_"), ("Or", "or_"), ("Xor", "xor"))},
    **{name: ROWS[name] for name in ("expm1", "log1p", "exp2", "log2", "log10", "hypot")},
    "sec": lambda x: 1 / ROWS["cos"](x), "csc": lambda x: 1 / ROWS["sin"](x), "cot": lambda x: 1 / ROWS["tan"](x),
    "coth": lambda x: 1 / ROWS["tanh"](x), "sech": lambda x: 1 / ROWS["cosh"](x), "csch": lambda x: 1 / ROWS["sinh"](x),
    "Heaviside": lambda x, half: ROWS["switch"](ROWS["eq"](x, 0), half, ROWS["gt"](x, 0)),
    "Implies": lambda a, b: ROWS["or_"](ROWS["invert"](a), b), "Equivalent": lambda a, b: ROWS["eq"](a, b),
    "ITE": ROWS["switch"], "frac": lambda x: x - ROWS["floor"](x)}
"""Sympy class -> what builds the expression."""


def _leaf(top: Any) -> Any:
    """The value of a number, of an expression of numbers, or a truth value; GraphError for what has no parts and is none of these."""
    if top.is_Boolean and not top.is_Symbol:
        return bool(top)
    if top.is_Integer and -2**63 <= int(top) < 2**63:
        return int(top)
    if (top.is_number or top.is_NumberSymbol) and top.is_extended_real is not False and not top.has("zoo"):
        return float(top)
    kind = "symbol" if top.is_Symbol else "constant"
    raise GraphError(f"from_sympy: no variable is given for the {kind} {name_text(str(top))}: pass {{{top}: variable}}{at(here())}"
                     if top.is_Symbol else f"from_sympy: the {kind} {top} is not a real number{at(here())}")


def _opened(top: Any) -> tuple[list[Any], Build]:
    name = type(top).__name__
    if not top.args or top.is_number:
        value = _leaf(top)
        return [], lambda: value
    if name in SHAPED:
        return SHAPED[name](top)
    if name not in FROM:
        raise GraphError(f"from_sympy: the function {name} has no counterpart here{at(here())}")
    return list(top.args), FROM[name]


def from_sympy(expr: Any, symbols: Mapping[Any, Any]) -> Out:
    """A sympy expression as a tensor expression: elementwise, over the variables that stand for its symbols.

    symbols: sympy symbol (or its name) -> variable or number.  Quotients divide, square roots, squares and reciprocals become rows of
    that name, rationals that no integer holds become floats.  GraphError, a ValueError, naming the symbol or function that is unknown.
    """
    import sympy
    try:
        return as_symbol(_read(sympy.sympify(expr), {sympy.Symbol(k) if isinstance(k, str) else k: v for k, v in symbols.items()}))
    except RecursionError:
        raise GraphError(f"from_sympy: the expression is nested too deeply for sympy, which works by recursion{at(here())}") from None


def _read(expression: Any, done: dict[Any, Any]) -> Any:
    """What the expression is made of, bottom up; `done` holds the values of symbols and gets those of all parts."""
    opened: dict[Any, tuple[list[Any], Build]] = {}
    todo = [expression]
    while todo:
        top = todo[-1]
        if top in done:
            todo.pop()
            continue
        if top not in opened:
            opened[top] = _opened(top)
        parts, build = opened[top]
        if waiting := [p for p in parts if p not in done]:
            todo += waiting
        else:
            done[todo.pop()] = build(*[done[p] for p in parts])
    return done[expression]
