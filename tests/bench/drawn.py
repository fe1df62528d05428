"""Rows drawn at random: a seeded grammar prints the same expression for every engine.

An element is made of a matrix x, sometimes a second one y, a row r and a column c, by elementwise operations whose values stay
in a range; around it stands nothing, a sum, a maximum or the subtraction of each row's mean.  Reductions are of absolute values,
so that no sum cancels and one tolerance serves all.
"""
from __future__ import annotations

import random
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tests.bench.row import Workload, compact

COUNT, DEFAULT_SEED = 6, 20261125
SHAPES = {"x": lambda n, m: (n, m), "y": lambda n, m: (n, m), "r": lambda n, m: (m,), "c": lambda n, m: (n, 1)}
CURVES = ("{f}tanh({})", "{f}sin({})", "{f}cos({})", "{f}exp(-{f}abs({}))", "{f}log1p({f}abs({}))")
PLAIN = ("({})**2", "{f}sqrt({f}abs({}))", "{f}abs({})", "({} + {two})", "({three} * {})")
PAIRS = ("({} + {})", "({} - {})", "({} * {})", "({} / ({one} + {f}abs({})))", "{max}({}, {})", "{min}({}, {})",
         "{where}({x} > {zero}, {}, {})")
FORMS = {
    "map": "{}",
    "centred": "({0} - {f}mean({0}, axis=1, keepdims=True))",
    "sum": "{f}sum({f}abs({}))",
    "sum0": "{f}sum({f}abs({}), axis=0)",
    "sum1": "{f}sum({f}abs({}), axis=1)",
    "max1": "{top}({f}abs({}), axis=1)",
}
PREFIXES = {"numpy": "np.", "exprgraph": "eg.", "jax": "jnp.", "torch": "torch.", "torch-compile": "torch.", "pytensor": "pt."}
LIBRARIES = {"np": "numpy", "eg": "exprgraph", "jnp": "jax.numpy", "torch": "torch", "pt": "pytensor.tensor"}
LOOPS = {
    "map": """
    out = np.empty((n, m), x.dtype)
    for i in prange(n):
        for j in range(m):
            out[i, j] = {}
    return out""",
    "centred": """
    out = np.empty((n, m), x.dtype)
    for i in prange(n):
        total = F(0)
        for j in range(m):
            out[i, j] = {}
            total += out[i, j]
        for j in range(m):
            out[i, j] -= total / F(m)
    return out""",
    "sum": """
    out = F(0)
    for i in prange(n):
        total = F(0)
        for j in range(m):
            total += abs({})
        out += total
    return out""",
    "sum0": """
    out = np.zeros(m, x.dtype)
    for block in prange((m + 63) // 64):
        for i in range(n):
            for j in range(64 * block, min(m, 64 * block + 64)):
                out[j] += abs({})
    return out""",
    "sum1": """
    out = np.empty(n, x.dtype)
    for i in prange(n):
        total = F(0)
        for j in range(m):
            total += abs({})
        out[i] = total
    return out""",
    "max1": """
    out = np.empty(n, x.dtype)
    for i in prange(n):
        total = F(0)
        for j in range(m):
            total = max(total, abs({}))
        out[i] = total
    return out""",
}


class Expression(NamedTuple):
    """What was drawn: the operands, a template of one element, and the form around it."""

    operands: tuple[str, ...]
    element: str
    form: str

    def text(self, names: dict[str, str]) -> str:
        """The expression over whole arrays."""
        return FORMS[self.form].format(self.element.format(**names), **names)


def draw(rng: random.Random) -> Expression:
    """An expression that uses each of its operands."""
    operands = ("x", *(name for name in "yrc" if rng.random() < 0.5))
    parts = [f"{{{name}}}" for name in (*operands, *rng.choices(operands, k=rng.randint(1, 3)))]
    rng.shuffle(parts)
    while len(parts) > 1:
        left, right = (_maybe_unary(rng, parts.pop()) for _ in "ab")
        parts.insert(rng.randrange(len(parts) + 1), _filled(rng.choice(PAIRS), left, right))
    return Expression(operands, parts[0], rng.choice(list(FORMS)))


def _maybe_unary(rng: random.Random, part: str) -> str:
    return _filled(rng.choice(CURVES + PLAIN), part) if rng.random() < 0.6 else part


def _filled(template: str, *parts: str) -> str:
    """Put parts into the numbered places of a template and leave its named ones for the engine."""
    pieces = template.split("{}")
    return pieces[0] + "".join(a + b for a, b in zip(parts, pieces[1:], strict=True))


def names_for(prefix: str) -> dict[str, str]:
    """How a library with NumPy's names spells what templates leave open."""
    top = "torch.amax" if prefix == "torch." else f"{prefix}max"
    return {"f": prefix, "max": f"{prefix}maximum", "min": f"{prefix}minimum", "where": f"{prefix}where", "top": top,
            "zero": "0", "one": "1", "two": "2", "three": "3", **{name: name for name in SHAPES}}


def names_in_loops() -> dict[str, str]:
    """How a loop of numba over i and j spells them."""
    return {"f": "np.", "max": "max", "min": "min", "where": "choose", "zero": "F(0)", "one": "F(1)", "two": "F(2)", "three": "F(3)",
            "x": "x[i, j]", "y": "y[i, j]", "r": "r[j]", "c": "c[i, 0]"}


def expressions(seed: int) -> list[Expression]:
    """The expressions of a seed."""
    rng = random.Random(seed)
    return [draw(rng) for _ in range(COUNT)]


def workloads(seed: int) -> list[Workload]:
    """The expressions of a seed at sizes drawn from a log-uniform range."""
    rng = random.Random(seed + 1)
    return [_workload(f"drawn{i}", expression, *_size(rng)) for i, expression in enumerate(expressions(seed))]


def _size(rng: random.Random) -> tuple[int, int]:
    total = 10 ** rng.uniform(3, 6.7)
    m = round(4 * (total / 64) ** rng.random())
    return max(1, round(total / m)), m


def _inputs(operands: tuple[str, ...], rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, ...]:
    return tuple(2 * rng.random(SHAPES[name](n, m), dtype="float32") - 1 for name in operands)


def _workload(name: str, e: Expression, n: int, m: int) -> Workload:
    cheap = not any(word in e.element for word in ("tanh", "sin", "cos", "exp", "log1p"))
    length = {"sum": lambda n, m: n * m, "sum0": lambda n, m: n, "map": lambda n, m: 1}.get(e.form, lambda n, m: m)
    return Workload(name, e.text(names_for("")), ((n, m),), partial(_inputs, e.operands), (3, 5), "cheap" if cheap else "other", length)


def function_for(engine: str, name: str, seed: int) -> Any:
    """The expression of a workload as an engine's function, or None where the engine cannot say it."""
    e = expressions(seed)[int(name.removeprefix("drawn"))]
    if engine.startswith("numba"):
        return _loops(e)
    if engine == "numexpr":
        return _numexpr(e)
    prefix = PREFIXES[engine]
    names = names_for(prefix)
    body = f"    e = {e.element.format(**names)}\n    return {FORMS[e.form].format('e', **names)}\n"
    return _executed(f"def drawn({', '.join(e.operands)}):\n{body}", prefix[:-1])


def _executed(text: str, *libraries: str, **names: Any) -> Any:
    space = {**names, **{name: __import__(LIBRARIES[name], fromlist=["x"]) for name in libraries}}
    exec(compile(text, "<drawn>", "exec"), space)
    return space["drawn"]


def _loops(e: Expression) -> Any:
    import numba
    choose = numba.njit(inline="always")(_choose)
    body = LOOPS[e.form].format(e.element.format(**names_in_loops()))
    text = f"def drawn({', '.join(e.operands)}):\n    n, m = x.shape{body}\n"
    return _executed(text, "np", F=np.float32, prange=numba.prange, choose=choose)


def _choose(condition: Any, a: Any, b: Any) -> Any:
    return a if condition else b


def _numexpr(e: Expression) -> Any:
    if e.form in ("centred", "max1") or "{max}" in e.element or "{min}" in e.element:  # its minimum of float32 is a float64
        return None
    return ", ".join(e.operands), e.text(names_for(""))


def described(seed: int) -> list[str]:
    """The expressions of a seed in words."""
    return [f"{w.name} at {' x '.join(map(compact, w.sizes[0]))}: {w.title}" for w in workloads(seed)]
