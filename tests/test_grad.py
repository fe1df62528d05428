"""Gradients: values against finite differences to the second order, policies, shapes, and graphs that are deep or share much."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import DisconnectedInputError, GradientError
from exprgraph.graph import order
from exprgraph.node import Graph
from exprgraph.passes import run_graph
from exprgraph.reference import evaluate
from exprgraph.testing import check_grads

RNG = np.random.default_rng(5)
V, W, S = RNG.uniform(0.4, 1.6, 5), RNG.uniform(0.4, 1.6, 5), RNG.uniform(0.4, 1.6)
M, N = RNG.uniform(-1, 1, (3, 4)), RNG.uniform(-1, 1, (4, 2))
B, C = RNG.uniform(0.5, 1.5, (2, 3, 4)), RNG.uniform(0.5, 1.5, (4, 5))
INDEX = np.array([0, 2, 2, 0, 1])

VALUES = {
    "product": (lambda a, b: a * b, (V, W)),
    "quotient": (lambda a, b: a / b, (V, W)),
    "power": (lambda a, b: a ** b, (V, W)),
    "constant powers": (lambda a: a ** 2 + a ** 3 + a ** 0 + a ** -1 + a ** 0.5, (V,)),
    "exp log": (lambda a: eg.exp(a) * eg.log(a) + eg.log1p(a) - eg.expm1(a), (V,)),
    "circular": (lambda a: eg.sin(a) * eg.cos(a) + eg.arctan(a) + eg.tanh(a), (V,)),
    "sigmoid softplus": (lambda a: eg.sigmoid(a) * eg.softplus(a), (V,)),
    "erf": (lambda a: eg.erf(a) * eg.erfc(a), (V,)),
    "logaddexp": (lambda a, b: eg.logaddexp(a, b), (V, W)),
    "abs": (lambda a: eg.abs(a) * a, (M,)),
    "maximum": (lambda a, b: eg.maximum(a, b) * eg.minimum(a, b), (V, W)),
    "switch": (lambda a, b: eg.switch(a > b, a * a, b * b * b), (V, W)),
    "clip": (lambda a: eg.clip(a, 0.7, 1.2) * a, (V,)),
    "second": (lambda a, b: eg.second(a, b) * a, (V, S)),
    "mod": (lambda a: (a % 0.3) * a, (V,)),
    "used twice, I4": (lambda a: a * eg.sin(a) + a, (V,)),
    "row and column, I5": (lambda a, b: eg.exp(a * b) * a, (M[:, :1], M[:1])),
    "scalar and matrix, I5": (lambda a, b: a * b * b, (S, M)),
    "vector and matrix, I5": (lambda a, b: (a + b) ** 2, (M[0], M)),
    "sum over an axis": (lambda a: a.sum(axis=0) ** 2, (M,)),
    "sum keepdims": (lambda a: a / a.sum(axis=1, keepdims=True), (B[0],)),
    "mean, var, std": (lambda a: a.mean(axis=0) * a.var(axis=0) + a.std(axis=0), (M,)),
    "prod": (lambda a: a.prod(axis=1), (M,)),
    "max of rows": (lambda a: a.max(axis=1) ** 2 + a.min(axis=1), (M,)),
    "norm": (lambda a: a.norm(2), (M,)),
    "matmul": (lambda a, b: (a @ b) ** 2, (M, N)),
    "matmul, batches": (lambda a, b: a @ b, (B, C)),
    "matrix and vector": (lambda a, b: (a @ b) ** 2, (M, M[0])),
    "transpose": (lambda a: a.T @ a, (M,)),
    "reshape": (lambda a: a.reshape((2, 6)) ** 2, (M,)),
    "dimshuffle": (lambda a: a.dimshuffle(1, "x", 0) ** 2, (M,)),
    "broadcast_to": (lambda a: a.broadcast_to((3, 4)) * M, (M[0],)),
    "slice": (lambda a: a[1:, ::2] ** 2, (M,)),
    "one row": (lambda a: a[1] ** 2, (M,)),
    "gather, I9": (lambda a: a[INDEX] ** 2, (M,)),
    "gather of columns, I9": (lambda a: a.take(INDEX, axis=1) ** 2, (M,)),
    "softmax, I6": (lambda a: eg.softmax(a), (M,)),
    "log_softmax, I6": (lambda a: eg.log_softmax(a), (M,)),
    "logsumexp, I6": (lambda a: eg.logsumexp(a, axis=1), (M,)),
    "cast": (lambda a: eg.cast(eg.cast(a, "float64"), "float64") * a, (V,)),
}


@pytest.mark.parametrize("case", VALUES)
def test_values(case: str) -> None:
    function, point = VALUES[case]
    check_grads(function, point)


def test_check_grads_finds_a_wrong_gradient() -> None:
    with pytest.raises(AssertionError, match="order 1"):
        check_grads(lambda a: eg.disconnected_grad(a) * a, (V,))


def value(out, **given):
    """The value of an expression, symbols by name."""
    leaves = {n.name: n for n in order([out]) if n.op.name in ("input", "shared")}
    return evaluate([out], {leaves[k]: np.asarray(v, leaves[k].outs[0].dtype) for k, v in given.items() if k in leaves})[0]


def test_one_list_or_tuple_and_names() -> None:
    x, y = eg.vectors("x", "y")
    cost = (x * y).sum()
    cost.name = "loss"
    assert eg.grad(cost, x).name == "d(loss)/d(x)"
    assert isinstance(eg.grad(cost, [x, y]), list) and isinstance(eg.grad(cost, (x, y)), tuple)
    assert eg.grad(cost, x, add_names=False).name is None
    assert x.name == "x" and y.name == "y"


@pytest.mark.parametrize("make, words", [
    (lambda x, i: x, r"1 axes.*\.sum\(\) or \.mean\(\)"),
    (lambda x, i: i.sum(), "int64.*float"),
    (lambda x, i: None, "known_grads"),
], ids=["rank", "dtype", "nothing"])
def test_bad_costs_I1(make, words) -> None:
    x, i = eg.vector("x"), eg.ivector("i")
    with pytest.raises(GradientError, match=words) as caught:
        eg.grad(make(x, i), x)
    assert "test_grad.py" in str(caught.value)


@pytest.mark.parametrize("jump", [lambda x: x > 0, lambda x: eg.cast(x, "int32"), lambda x: eg.where(x > 0, 1, 0), lambda x: eg.any(x > 0)],
                         ids=["comparison", "cast", "condition", "any"])
def test_a_dependence_by_jumps_alone_has_zero_gradient_I3(jump) -> None:
    x, y = eg.vectors("x", "y")
    g = eg.grad((y * eg.cast(jump(x), "float32")).sum(), x)
    assert value(g, x=[1, 2], y=[3, 4]).tolist() == [0, 0]


@pytest.mark.parametrize("name", ["relu", "abs", "sign", "ceil", "leaky_relu", "hard_sigmoid", "maximum"])
def test_second_gradients_of_piecewise_linear_functions_are_zero(name: str) -> None:
    x = eg.vector("x")
    make = getattr(eg, name) if name != "maximum" else lambda v: eg.maximum(v, 0.5)
    second = eg.grad(eg.grad(make(x).sum(), x).sum(), x)
    assert value(second, x=[1, -2, 0.25]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("cut", [lambda x: eg.argmax(x), lambda x: x.shape[0], eg.disconnected_grad],
                         ids=["argmax", "shape", "disconnected_grad"])
def test_disconnected_I3(cut) -> None:
    x, y = eg.vectors("x", "y")
    cost = (y * eg.cast(cut(x), "float32")).sum()
    with pytest.raises(DisconnectedInputError, match=r"(?s)respect to x.*test_grad\.py"):
        eg.grad(cost, x)
    with pytest.warns(UserWarning, match="respect to x"):
        g = eg.grad(cost, x, disconnected_inputs="warn")
    assert value(g, x=[1, 2]).tolist() == [0, 0]
    assert eg.grad(cost, x, disconnected_inputs="ignore", return_disconnected="none") is None


@pytest.mark.parametrize("flat", [eg.floor, eg.ceil, eg.trunc, eg.sign, eg.zero_grad, lambda x: x // 2, lambda x: x ** 0,
                                  eg.round_half_to_even],
                         ids=["floor", "ceil", "trunc", "sign", "zero_grad", "x // 2", "x ** 0", "round"])
def test_flat_functions_have_zero_gradient_I3(flat) -> None:
    x = eg.vector("x")
    assert value(eg.grad(flat(x * x).sum(), x), x=[1.5, 0.0]).tolist() == [0, 0]


def test_integers_carry_no_gradient_I1() -> None:
    x, i = eg.vector("x"), eg.ivector("i")
    with pytest.raises(DisconnectedInputError, match="int32"):
        eg.grad((x * i).sum(), i)
    g = eg.grad((x * i).sum(), i, disconnected_inputs="ignore")
    assert g.dtype == "int32" and value(g, i=[3, 4]).tolist() == [0, 0]


EDGES = {
    "max tie": (lambda x: eg.maximum(x, 1), 1.0, 0.5), "abs at 0": (eg.abs, 0.0, 0.0), "relu at 0": (eg.relu, 0.0, 0.0),
    "x ** 0 at 0": (lambda x: x ** 0, 0.0, 0.0), "0 ** x": (lambda x: eg.switch(x > 0, 0.0 ** x, 0.0), 0.5, 0.0),
    "x ** 1 at 0": (lambda x: x ** 1, 0.0, 1.0), "x ** 2 at 0": (lambda x: x ** 2, 0.0, 0.0),
    "masked division, A26": (lambda x: eg.switch(x > 0, 1 / eg.switch(x > 0, x, 1), 0), 0.0, 0.0),
    "norm at 0, I7": (lambda x: (eg.stack([x, x]) if hasattr(eg, "stack") else x.dimshuffle("x")).norm(2), 0.0, 0.0),
}


@pytest.mark.parametrize("case", EDGES)
def test_edges_I2(case: str) -> None:
    function, at, expected = EDGES[case]
    x = eg.dscalar("x")
    with np.errstate(all="ignore"):
        assert float(value(eg.grad(function(x), x), x=at)) == expected


@pytest.mark.parametrize("row, expected", [([2, 0, 3], [0, 6, 0]), ([0, 0, 3], [0, 0, 0]), ([2, 1, 3], [3, 6, 2])])
def test_prod_with_zeros_I7(row, expected) -> None:
    x = eg.dvector("x")
    assert np.allclose(value(eg.grad(x.prod(), x), x=row), expected)


def test_var_of_one_element_I7() -> None:
    x = eg.dvector("x")
    assert value(eg.grad(x.var(), x), x=[3.0]).tolist() == [0]


@pytest.mark.parametrize("a, b", [((3, 1), (1, 4)), ((1,), (0,)), ((2, 0, 1), (3,)), ((), (2, 3)), ((4,), (4,)), ((1, 1), (5, 2))])
def test_broadcast_gradients_have_the_shape_of_the_operand_I5(a, b) -> None:
    x, y = eg.tensor("x", "float32", (None,) * len(a)), eg.tensor("y", "float32", (None,) * len(b))
    for g, shape in zip(eg.grad((x * y + x).sum(), [x, y]), (a, b)):
        got = value(g, x=np.ones(a), y=np.ones(b))
        assert got.shape == shape and got.dtype == np.float32


def test_mixed_dtypes_are_cast_back() -> None:
    x, y = eg.fvector("x"), eg.dvector("y")
    assert [g.dtype for g in eg.grad((x * y).sum(), [x, y])] == ["float32", "float64"]


def test_no_sum_where_shapes_agree() -> None:
    x = eg.matrix("x")
    g = eg.grad((x * x + eg.exp(x)).sum(), x)
    assert "sum_to" not in {n.op.name for n in order([g])}


def test_known_grads_and_consider_constant() -> None:
    x = eg.dvector("x")
    y = x * x
    assert value(eg.grad(None, x, known_grads={y: np.array([1.0, 10.0])}), x=[2, 3]).tolist() == [4, 60]
    assert value(eg.grad((x * y).sum(), x, consider_constant=[y]), x=[2, 3]).tolist() == [4, 9]
    assert value(eg.grad((x * y).sum(), y), x=[2, 3]).tolist() == [2, 3]


def test_a_row_without_gradient() -> None:
    hole = eg.ROWS["exp"].changed(name="hole", grad=None)
    x = eg.vector("x")
    with pytest.raises(GradientError, match=r"(?s)hole.*test_grad\.py"):
        eg.grad(hole(x).sum(), x)
    assert np.isnan(value(eg.grad(hole(x).sum(), x, null_gradients="return"), x=[1])).all()


def test_deep_chain_and_sharing_B4_B5() -> None:
    x = y = eg.dscalar("x")
    for _ in range(10_000):
        y = eg.sin(y)
    g = eg.grad(y, x)
    assert len(order([g])) < 60_000
    z = x
    for _ in range(60):
        z = z + z
    g = eg.grad(z, x)
    assert len(order([g])) < 500 and float(value(g, x=1.0)) == 2.0 ** 60


STABILISED = {
    "log sigmoid": lambda x: eg.log(eg.sigmoid(x)), "log(1-sigmoid)": lambda x: eg.log(1 - eg.sigmoid(x)),
    "log(1+exp)": lambda x: eg.log(1 + eg.exp(x)), "exp-1": lambda x: eg.exp(x) - 1,
    "1/(1+exp(-x))": lambda x: 1 / (1 + eg.exp(-x)),
    "binary cross-entropy": lambda x: -(0.25 * eg.log(eg.sigmoid(x)) + 0.75 * eg.log(1 - eg.sigmoid(x))),
    "log softmax": lambda x: eg.log(eg.softmax(x.dimshuffle("x") * np.array([0.0, 1.0])))[1],
    "logsumexp": lambda x: eg.log(eg.exp(x.dimshuffle("x") * np.array([0.0, 1.0])).sum()),
}
SLOPES = {
    "log sigmoid": lambda x: 1 / (1 + np.exp(x)), "log(1-sigmoid)": lambda x: -1 / (1 + np.exp(-x)),
    "log(1+exp)": lambda x: 1 / (1 + np.exp(-x)), "exp-1": np.exp,
    "1/(1+exp(-x))": lambda x: np.exp(-abs(x)) / (1 + np.exp(-abs(x))) ** 2,
    "binary cross-entropy": lambda x: 1 / (1 + np.exp(-x)) - 0.25,
    "log softmax": lambda x: 1 / (1 + np.exp(x)), "logsumexp": lambda x: 1 / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("case", STABILISED)
@pytest.mark.parametrize("at", [1e-8, -1e-8, 50.0, -50.0, 800.0, -800.0])
def test_gradient_of_stabilised_expressions_I8(case: str, at: float) -> None:
    x = eg.dscalar("x")
    g = eg.grad(STABILISED[case](x), x)
    with np.errstate(all="ignore"):
        expected = SLOPES[case](at)
        got = value(run_graph(Graph((x,), (g,)), {}).outputs[0], x=at)
    assert np.allclose(got, expected, rtol=1e-9, atol=1e-15), (got, expected)


def test_policies_are_checked() -> None:
    x = eg.scalar("x")
    with warnings.catch_warnings(), pytest.raises(ValueError, match="disconnected_inputs='no'"):
        eg.grad(x, x, disconnected_inputs="no")
    with pytest.raises(GradientError, match="list"):
        eg.grad(x, [[x]])
