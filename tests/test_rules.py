"""The rules: each list is tested for what it claims, by evaluating both sides of every rule in it, and by applying it."""
from __future__ import annotations

import itertools

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.graph import order
from exprgraph.node import INPUT, Graph, Out, leaf, make_constant
from exprgraph.reference import evaluate
from exprgraph.rewrite import Engine, RewriteWarning, Rule, arguments, sort
from exprgraph.rules.exact import EXACT
from exprgraph.rules.masks import MASKS
from exprgraph.rules.movement import MOVEMENT
from exprgraph.rules.real import REAL
from exprgraph.rules.stable import POWERS, STABLE

pytestmark = pytest.mark.filterwarnings("error::exprgraph.rewrite.RewriteWarning")
DTYPES = {"f": ("float32", "float64"), "i": ("int8", "int32", "int64"), "u": ("uint8", "uint64"), "b": ("bool",)}
RNG = np.random.default_rng(3)


def specials(dtype: str) -> np.ndarray:
    """The values at which rules go wrong, and a few random ones."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype.startswith("float"):
        info = np.finfo(dtype)
        fixed = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1, -1, 0.5, 2.5, -2.5, 88, 3e5, info.max, -info.max, info.tiny, info.tiny / 4]
        return np.concatenate([fixed, RNG.standard_normal(6)]).astype(dtype)
    info = np.iinfo(dtype)
    return np.array([info.min, info.min + 1, 0, 1, 2, 3, info.max - 1, info.max], dtype)


def given(rule: Rule, dtype: str, points: np.ndarray | None = None, constant: float = 4.0, **own: np.ndarray):
    """Symbols for the arguments of a rule and arrays for them: all combinations of special values, or of those in `own`."""
    names = arguments(rule)
    choices = {n: np.array([False, True]) if sort(n) == "condition" else specials(dtype) if points is None else points
               for n in names if sort(n) in ("condition", "tensor")}
    choices.update({n: v.astype(dtype) for n, v in own.items() if n in choices})
    grid = np.array(list(itertools.product(*(range(len(v)) for v in choices.values()))))
    symbols, values = {}, {}
    for column, n in zip(grid.T, choices):
        array = choices[n][column]
        symbols[n] = Out(leaf(INPUT, array.dtype.name, (None,), n))
        values[symbols[n].node] = array
    symbols.update({n: make_constant(constant, dtype) for n in names if sort(n) == "constant"})
    return [symbols[n] for n in names], values


def sides(rule: Rule, symbols, values):
    """The left side, and what the rule alone makes of it: their values."""
    left = rule.pattern(*symbols)
    graph, applied = Engine([rule]).sweep(Graph(tuple(Out(n) for n in values), (left,)))
    assert applied == rule.name
    right = graph.outputs[0]
    assert right.node is not left.node and right.type.dtype == left.type.dtype and right.ndim == left.ndim
    return evaluate([left], values)[0], evaluate([right], values)[0]


def without_params(rules):
    """The rules whose arguments are all tensors, with their dtypes."""
    rules = [r for r in rules if r.pattern is not None and not any(sort(n) in ("params", "rest") for n in arguments(r))]
    return [pytest.param(r, d, id=f"{r.name}-{d}") for r in rules for kind in r.kinds for d in DTYPES[kind]]


def bits(array: np.ndarray) -> np.ndarray:
    """The bits of an array, all NaNs alike."""
    array = np.ascontiguousarray(array)
    return np.where(array != array, 0, array.view(f"u{array.dtype.itemsize}")) if array.dtype.kind == "f" else array


@pytest.mark.parametrize("rule, dtype", without_params(EXACT))
def test_exact_rules_keep_every_bit_A1_A2_A6(rule: Rule, dtype: str) -> None:
    left, right = sides(rule, *given(rule, dtype))
    assert np.array_equal(np.isnan(left), np.isnan(right)) if left.dtype.kind == "f" else left.dtype == right.dtype
    assert np.array_equal(bits(left), np.broadcast_to(bits(right), left.shape))


FLOATY = np.array([-87, -30, -9.5, -1, -1e-3, -1e-6, 1e-6, 1e-3, 0.4, 1, 3, 17, 60, 100])
INSIDE = np.array([-0.9, -1e-3, -1e-6, 1e-7, 1e-4, 0.3, 0.9])
DOMAINS = {"log(1 + x)": INSIDE, "log(1 - x)": INSIDE, "log(exp(x) / y)": np.array([1e-3, 0.4, 3, 17, 100]),
           "1 - erf(x)": np.array([-3, 0.1, 2, 4, 6]), "1 - erfc(x)": INSIDE}
POSITIVE = np.array([1e-3, 0.4, 3, 17])
WEIGHTED = [r for r in STABLE if r not in POWERS + MASKS]


def error(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The distance in units of float32's last place, infinite where one is not finite."""
    unit = np.maximum(np.abs(exact), 1e-30) * 2.0 ** -23
    return np.where(np.isfinite(got), np.abs(got - exact), np.inf) / unit


@pytest.mark.parametrize("rule", [p.values[0] for p in without_params(WEIGHTED) if p.values[1] == "float32"], ids=lambda r: r.name)
def test_stable_rules_are_closer_A5(rule: Rule) -> None:
    sign = -1 if "-" in rule.name else 1  # so that nothing cancels
    symbols, values = given(rule, "float32", DOMAINS.get(rule.name, FLOATY).astype("float32"), y=POSITIVE, z=sign * POSITIVE)
    left, right = sides(rule, symbols, values)
    with np.errstate(all="ignore"):
        exact = evaluate([rule.replacement(*symbols)], values, {"float32": "longdouble"})[0].astype("float64")
        plain = evaluate([rule.pattern(*symbols)], values, {"float32": "longdouble"})[0].astype("float64")
        lost, kept = error(left.astype("float64"), exact), error(right.astype("float64"), exact)
        agree = np.isfinite(plain) & (error(plain, exact) < 1e-2)
    known = np.isfinite(exact) & (np.abs(exact) < 3e38)
    assert agree.any(), "the sides mean the same"
    assert np.all(kept[known & agree] <= np.maximum(64, 2 * lost[known & agree])), "never much worse"
    assert (lost[known] > 2 * kept[known] + 0.4).any(), "somewhere better"


@pytest.mark.parametrize("rule", POWERS, ids=lambda r: r.name)
def test_powers_are_rounded_products(rule: Rule) -> None:
    for dtype in [d for k in rule.kinds for d in DTYPES[k]]:
        left, right = sides(rule, *given(rule, dtype))
        assert np.allclose(left, right, rtol=1e-6, equal_nan=True) if left.dtype.kind == "f" else np.array_equal(left, right)


@pytest.mark.parametrize("rule, dtype", without_params(REAL))
def test_real_rules_hold_over_the_reals(rule: Rule, dtype: str) -> None:
    left, right = sides(rule, *given(rule, dtype, np.array([0.3, 0.7, 1.9, 3.1], dtype), 3.0))
    assert np.allclose(left, right, rtol=1e-5, atol=1e-5)


KEPT, DROPPED = (("axis", (1,)), ("keepdims", True)), (("axis", (1,)), ("keepdims", False))
BACK = (("pattern", (0, -1)),)
REDUCING = [
    ("log(sum(exp(x)))", {"x": (3, 4), "p": KEPT}), ("log(sum(exp(x)))", {"x": (3, 4), "p": DROPPED}),
    ("log(dimshuffle(sum(exp(x))))", {"x": (3, 4), "p": DROPPED, "q": BACK}),
    ("exp(x) / sum(exp(x))", {"x": (3, 4), "p": KEPT}),
    ("exp(x) / dimshuffle(sum(exp(x)))", {"x": (3, 4), "p": DROPPED, "q": BACK}),
    ("y / sum(exp(x)) * exp(x)", {"x": (3, 4), "y": (3, 1), "p": KEPT}),
    ("dimshuffle(y / sum(exp(x))) * exp(x)", {"x": (3, 4), "y": (), "p": DROPPED, "q": BACK}),
    ("sum(-(z / sum(exp(x)))) * exp(x)", {"x": (3, 4), "z": (3, 4), "p": KEPT}),
    ("(y / sum(exp(x)) + sum(-(z / sum(exp(x))))) * exp(x)", {"x": (3, 4), "y": (3, 4), "z": (3, 4), "p": KEPT}),
    ("sum(-x)", {"x": (3, 4), "p": DROPPED}), ("sum(x * k)", {"x": (3, 4), "k": 2.5, "p": KEPT}),
]


def built(rule: Rule, shapes, scale: float, dtype: str = "float64"):
    """Symbols and values for a rule with parameters."""
    symbols, values = [], {}
    for name in arguments(rule):
        if sort(name) == "params":
            symbols.append(shapes[name])
        elif sort(name) == "constant":
            symbols.append(make_constant(shapes[name], dtype))
        else:
            symbols.append(Out(leaf(INPUT, dtype, (None,) * len(shapes[name]), name)))
            values[symbols[-1].node] = (RNG.standard_normal(shapes[name]) * scale).astype(dtype)
    return symbols, values


@pytest.mark.parametrize("name, shapes", REDUCING)
@pytest.mark.parametrize("scale", [1.0, 900.0])
def test_rules_of_reductions(name: str, shapes, scale: float) -> None:
    rule = next(r for r in (*STABLE, *REAL) if r.name == name)
    left, right = sides(rule, *built(rule, shapes, scale))
    assert left.shape == right.shape and np.isfinite(right).all()
    assert np.allclose(left, right) if scale == 1 else True


def test_the_gradient_of_a_handmade_softmax_is_stable() -> None:
    x, w = eg.dmatrix("x"), eg.dmatrix("w")
    share = eg.exp(x) / eg.exp(x).sum(axis=1, keepdims=True)
    rows = np.array([[1000.0, 1001, -3], [1, 2, 3]])
    values = {x.node: rows, w.node: np.arange(6.0).reshape(2, 3)}
    for cost, stable in (((w * share).sum(), (w * eg.softmax(x)).sum()), (eg.tanh(share).sum(), eg.tanh(eg.softmax(x)).sum())):
        got, wanted = (evaluate(simplified(eg.grad(c, x), x, w).outputs, values)[0] for c in (cost, stable))
        assert np.allclose(got, wanted, rtol=1e-9, atol=1e-12)


def test_every_rule_of_reductions_has_an_example() -> None:
    needed = {r.name for r in (*STABLE, *REAL) if any(sort(n) == "params" for n in arguments(r))}
    assert needed == {name for name, _ in REDUCING}


def test_logsumexp_of_infinite_rows_A27() -> None:
    x = eg.dmatrix("x")
    graph = simplified(eg.log(eg.exp(x).sum(axis=1)), x)
    rows = np.array([[-np.inf, -np.inf], [np.inf, 0], [1000, 1000], [-1000, -1000.0]])
    got = evaluate(graph.outputs, {x.node: rows})[0]
    assert np.allclose(got, [-np.inf, np.inf, 1000 + np.log(2), -1000 + np.log(2)])


M = eg.matrix("m")
MOVES = {
    "size": (lambda: (M + 1).shape[1], "size", 2),
    "dimshuffle of dimshuffle": (lambda: M.dimshuffle(1, "x", 0).dimshuffle(2, 0), "dimshuffle", 0),
    "dimshuffle of nothing": (lambda: eg.ROWS["dimshuffle"](M, pattern=(0, 1)), "dimshuffle", 0),
    "reshape of little": (lambda: M.reshape((M.shape[0], 1, M.shape[1])), "reshape", 0),
    "reshape of reshape": (lambda: M.reshape((6,)).reshape((2, 3)), "reshape", 1),
    "broadcast_to of nothing": (lambda: eg.ROWS["broadcast_to"](M, *M.shape), "broadcast_to", 0),
    "broadcast_to of broadcast_to": (lambda: eg.ROWS["broadcast_to"](eg.ROWS["broadcast_to"](M, 4, 3, 2), 5, 4, 3, 2), "broadcast_to", 1),
    "specify_shape of nothing": (lambda: eg.ROWS["specify_shape"](M, *M.shape, messages=("", "")), "specify_shape", 0),
    "sum_to decided": (lambda: eg.ROWS["sum_to"](eg.ROWS["broadcast_to"](M, 4, 3, 2), 1, 2), "sum_to", 0),
    "cast of nothing": (lambda: eg.ROWS["cast"](M, "float32"), "cast", 0),
    "cast of cast": (lambda: eg.ROWS["cast"](eg.ROWS["cast"](M, "float64"), "float32"), "cast", 0),
    "sum over no axis": (lambda: M.sum(axis=()), "sum", 0),
    "prod over no axis": (lambda: M.prod(axis=()), "prod", 0),
    "max over no axis": (lambda: M.max(axis=()), "max", 0),
    "min over no axis": (lambda: M.min(axis=()), "min", 0),
    "any over no axis": (lambda: (M > 0).any(axis=()), "any", 0),
    "all over no axis": (lambda: (M > 0).all(axis=()), "all", 0),
    "assert of what holds": (lambda: eg.ROWS["assert"](M, np.array([True, True])), "assert", 0),
    "broadcast operands": (lambda: eg.exp(eg.ROWS["broadcast_to"](M[0], *M.shape)) * M, "broadcast_to", 0),
}


def simplified(out: Out, *inputs: Out) -> Graph:
    """What the GRAPH half makes of an expression."""
    from exprgraph.passes import run_graph
    return run_graph(Graph(inputs, (out,)), {})


@pytest.mark.parametrize("name", MOVES)
def test_movement(name: str) -> None:
    make, op, left = MOVES[name]
    out = make()
    graph = simplified(out, M)
    array = RNG.standard_normal((3, 2)).astype("float32")
    before, after = (evaluate([o], {M.node: array})[0] for o in (out, graph.outputs[0]))
    assert before.dtype == after.dtype and np.array_equal(before, after)
    found = [n.op.name for n in order(graph.outputs)].count(op)
    assert found <= left


def test_every_movement_rule_has_an_example() -> None:
    assert {r.name for r in MOVEMENT} == set(MOVES)


def test_shapes_compute_nothing_but_sizes() -> None:
    names = {n.op.name for n in order(simplified((eg.exp(M) @ M.T).shape[0] * 2, M).outputs)}
    assert names <= {"input", "size", "constant", "mul"}


@pytest.mark.parametrize("dtype", [d for k in "fiub" for d in DTYPES[k]] + ["int16", "uint32"])
@pytest.mark.parametrize("between", ["bool", "int8", "int32", "int64", "uint8", "uint32", "uint64", "float32", "float64"])
@pytest.mark.parametrize("last", ["int8", "int32", "uint8", "uint64", "float32", "float64", "bool"])
def test_casts_through_another_dtype(dtype: str, between: str, last: str) -> None:
    x = Out(leaf(INPUT, dtype, (None,), "x"))
    cast = eg.ROWS["cast"]
    out = cast(cast(x, between), last)
    values = {x.node: specials(dtype)}
    assert np.array_equal(bits(evaluate([out], values)[0]), bits(evaluate(simplified(out, x).outputs, values)[0]))


def test_names_are_unique_and_stable_rules_say_why() -> None:
    names = [(r.name, r.kinds) for r in (*EXACT, *STABLE, *REAL, *MOVEMENT)]
    assert len(set(names)) == len(names)
    assert all(r.why for r in (*STABLE, *REAL))


def test_a_rule_that_changes_the_dtype_is_left_out() -> None:
    broken = Rule("broken", lambda x: eg.exp(x), lambda x: eg.cast(x, "int32"))
    x = eg.vector("x")
    with pytest.warns(RewriteWarning, match="broken.*float32.*int32"):
        graph, applied = Engine([broken]).sweep(Graph((x,), (eg.exp(x),)))
    assert applied is None and graph.outputs[0].node.op.name == "exp"


def test_a_rule_without_end_is_reported_A24() -> None:
    loop = Rule("loop", lambda x, y: eg.maximum(x, y), lambda x, y: eg.maximum(y, x))
    x, y = eg.scalars("x", "y")
    with pytest.warns(RewriteWarning, match="loop"):
        Engine([loop]).sweep(Graph((x, y), (eg.maximum(x, y),)))
