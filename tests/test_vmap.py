"""vmap: functions over batches against loops, nested, in containers, on both schedules, and what it refuses."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.batch import batched
from exprgraph.errors import GraphError, IndexFault, RankError, ShapeError, UseError
from exprgraph.graph import order
from exprgraph.node import Graph, Op
from exprgraph.ops.rows import row
from exprgraph.passes import run_graph
from tests.faults import WAYS, symbols
from tests.plan_runner import CPU, GPU, interpret

RNG = np.random.default_rng(8)
X, Y = RNG.uniform(-2, 2, (5, 3, 4)), RNG.uniform(-2, 2, (5, 4))
SQUARE, SMALL = RNG.uniform(-2, 2, (5, 3, 3)), RNG.uniform(0.1, 0.9, (5, 3))
PLACES = RNG.integers(-3, 3, (5, 2))
ONE = RNG.integers(-3, 3, 5)
MASK = RNG.integers(0, 2, (5, 3)).astype(bool)

TABLE: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    "softmax": (lambda x: eg.softmax(x), (X,)), "log_softmax": (lambda x: eg.log_softmax(x), (X,)),
    "logsumexp": (lambda x: eg.logsumexp(x, axis=0), (X,)),
    "norm": (lambda x: x.norm(2), (X,)), "matrix norm": (lambda x: eg.matrix_norm(x), (X,)),
    "mean, var, std": (lambda x: x.mean(0) * x.var(0) + x.std(axis=0), (X,)),
    "variance of all": (lambda x: (x - x.mean()) / (x.std() + 1), (X,)),
    "einsum": (lambda x, y: eg.einsum("ij,j->i", x, y), (X, Y)), "einsum of three": (
        lambda x, y, z: eg.einsum("ij,j,ik->k", x, y, z), (X, Y, SQUARE)),
    "einsum trace": (lambda x: eg.einsum("ii->i", x), (SQUARE,)),
    "x[i]": (lambda x, i: x[i], (X, ONE)), "x[i, j]": (lambda x, i: x[i, i], (X, ONE)), "x[:, i]": (lambda x, i: x[:, i], (X, ONE)),
    "x[[i]]": (lambda x, i: x[i], (X, PLACES)), "x[[i], j]": (lambda x, i, j: x[i, j], (X, PLACES, ONE)),
    "x[i, :, None]": (lambda x, i: x[i, ..., None], (X, PLACES)),
    "x[argmax]": (lambda x: x[eg.argmax(x[:, 0])], (X,)), "slices": (lambda x: x[1:, ::2] + x[:-1, 1::2], (X,)),
    "window": (lambda x, i: eg.take(x, abs(i) + eg.arange(2), axis=1), (X, ONE)),
    "set": (lambda x, i: x[i].set(7.0), (X, ONE)), "set slices": (lambda x: x[1:, :2].set(0), (X,)),
    "set value": (lambda x, y, i: x[i].set(y), (X, Y, ONE)), "set places": (lambda x, i: x[i].set(2.0), (X, PLACES)),
    "inc places": (lambda x, i, y: x[i].inc(y), (X, PLACES, Y)), "inc": (lambda x, i: x[:, i].inc(1.0), (X, ONE)),
    "set computed": (lambda x: x[eg.argmax(x[:, 0])].set(0.0), (X,)), "set mask": (lambda x, m: x[m].set(0.0), (X, MASK)),
    "where": (lambda x, y: eg.where(x > 0, x, y), (X, Y)), "where of masks": (lambda x, m: eg.where(m[:, None], x, -x), (X, MASK)),
    "sort": (lambda x: eg.sort(x, axis=0), (X,)), "argsort": (lambda x: eg.argsort(x), (X,)),
    "median": (lambda x: eg.median(x, axis=1), (X,)),
    "sort of all": (lambda x: eg.sort(x, axis=None), (X,)), "topk": (lambda x: eg.topk(x, 2), (X,)),
    "searchsorted": (lambda x, v: eg.searchsorted(eg.sort(x[0]), v), (X, SMALL)), "digitize": (
        lambda x: eg.digitize(x, np.array([-1.0, 0.0, 1.0])), (X,)),
    "cumsum": (lambda x: eg.cumsum(x, axis=1), (X,)), "cumsum of all": (lambda x: eg.cumsum(x), (X,)),
    "reshape": (lambda x: x.reshape((2, 6)).T, (X,)), "flatten": (lambda x: x.flatten(), (X,)), "ravel back": (
        lambda x: eg.reshape(x.ravel(), x.shape), (X,)),
    "stack": (lambda x, y: eg.stack([x[0], y]), (X, Y)),
    "concatenate with a constant": (lambda x: eg.concatenate([x, np.ones((1, 4))]), (X,)),
    "pad": (lambda x: eg.pad(x, ((1, 0), (0, 2))), (X,)), "repeat": (lambda x: eg.repeat(x, 2, axis=0), (X,)), "tile": (
        lambda x: eg.tile(x, (2, 1)), (X,)), "roll": (lambda x: eg.roll(x, 1, axis=1), (X,)),
    "split": (lambda x: eg.array_split(x, 2)[0], (X,)), "block": (lambda x: eg.block([[x, x], [x * 2, x]]), (X,)),
    "diag": (lambda y: eg.diag(y), (Y,)), "diagonal": (lambda x: eg.diagonal(x), (SQUARE,)), "trace": (lambda x: eg.trace(x), (SQUARE,)),
    "triangle": (lambda x: eg.tril(x), (SQUARE,)), "outer": (lambda x, y: eg.outer(x, y), (SMALL, Y)),
    "matrix @ vector": (lambda x, y: x @ y, (X, Y)), "vector @ matrix": (lambda v, x: v @ x, (SMALL, X)), "matrix @ constant": (
        lambda x: x @ np.ones((4, 2)), (X,)), "constant @ vector": (lambda y: np.ones((2, 4)) @ y, (Y,)),
    "constant @ matrix": (lambda x: np.arange(6.0).reshape(2, 3) @ x, (X,)), "dot": (lambda a, b: eg.dot(a, b), (Y, Y)),
    "tensordot": (lambda x: eg.tensordot(x, np.ones((4, 3, 2)), axes=((0, 1), (1, 0))), (X,)),
    "matrix power": (lambda x: eg.matrix_power(x, 3), (SQUARE,)), "jagged broadcasting": (lambda v, y: v[:, None] * y[None, :], (SMALL, Y)),
    "arange": (lambda y: y * eg.arange(y.shape[0]), (Y,)), "sizes": (lambda x: x.sum() / x.shape[0] + eg.cast(x.size, "float64"), (X,)),
    "zeros_like": (lambda x: eg.zeros_like(x) + 1, (X,)), "constant": (lambda x: np.ones(2), (X,)), "broadcast_to": (
        lambda y: eg.broadcast_to(y, (2, 4)), (Y,)), "one hot": (lambda i: eg.to_one_hot(abs(i), 4), (PLACES,)),
    "interp": (lambda x, v: eg.interp(v, eg.sort(x[0]), x[1]), (X, SMALL)), "gradient": (
        lambda x, y: eg.grad((eg.tanh(x @ y) ** 2).sum(), [x, y])[0], (X, Y)),
    "cross-entropy": (lambda x, i: eg.categorical_crossentropy(eg.softmax(x), eg.arange(3) % 2 + abs(i) % 2), (X, ONE)),
    "assertion": (lambda x: eg.assert_op(x, x.sum() < 99), (X,)), "clip": (lambda x, y: eg.clip(x, y - 1, y), (X, Y)),
    "quantile": (lambda x: eg.quantile(x, 0.3, axis=0), (X,)), "diff": (lambda x: eg.diff(x), (X,)), "kron": (
        lambda a, b: eg.kron(a, b), (SMALL, Y)), "nanmean": (lambda x: eg.nanmean(eg.where(x > 1, np.nan, x), axis=0), (X,)),
    "max_and_argmax": (lambda x: eg.max_and_argmax(x, axis=1)[1], (X,)), "gelu": (lambda x: eg.gelu(x), (X,)),
}
COMPILED = ("softmax", "x[i]", "x[[i], j]", "set places", "inc places", "sort", "searchsorted", "matrix @ vector", "constant @ vector",
            "matrix @ constant", "jagged broadcasting", "gradient", "set mask", "cumsum of all", "einsum of three", "x[argmax]", "topk")


def looped(function: Any, values: tuple[np.ndarray, ...]) -> np.ndarray:
    """Lane by lane on the NumPy backend."""
    lanes = [v[0] for v in values]
    inner = symbols(lanes)
    f = eg.compile(inner, eg.as_tensor(function(*inner)), device="numpy", on_unused_input="ignore")
    return np.stack([f(*[v[i] for v in values]) for i in range(len(values[0]))])


@pytest.mark.parametrize("name", TABLE)
def test_functions(name: str) -> None:
    function, values = TABLE[name]
    inputs = symbols(values)
    f = eg.compile(inputs, eg.vmap(function)(*inputs), device="numpy", on_unused_input="ignore")
    wanted = looped(function, values)
    np.testing.assert_allclose(f(*values), wanted, rtol=1e-12, atol=1e-12)
    one = [v[:1] for v in values]
    np.testing.assert_allclose(f(*one), wanted[:1], rtol=1e-12, atol=1e-12)
    assert f(*[v[:0] for v in values]).shape == (0, *wanted.shape[1:])


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("name", COMPILED)
def test_generated_code(name: str, schedule: str) -> None:
    function, values = TABLE[name]
    inputs = symbols(values)
    f = eg.compile(inputs, eg.vmap(function)(*inputs), device="pocl", schedule=schedule)
    wanted = looped(function, values)
    np.testing.assert_allclose(f(*values), wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(f(*[v[:1] for v in values]), wanted[:1], rtol=1e-9, atol=1e-12)
    assert f(*[v[:0] for v in values]).shape == (0, *wanted.shape[1:])


def test_axes() -> None:
    """Any axis of the arguments, from the end too, and any place of the results."""
    x, y = eg.dtensor3("x"), eg.dmatrix("y")
    f = eg.vmap(lambda a, b: (a @ b, a.T), in_axes=(1, -1), out_axes=(1, -2))
    got = eg.compile([x, y], f(x, y), device="numpy")(np.moveaxis(X, 0, 1), Y.T)
    np.testing.assert_allclose(got[0], np.einsum("lij,lj->il", X, Y))
    np.testing.assert_array_equal(got[1], np.moveaxis(X.transpose(0, 2, 1), 0, 1))
    assert got[1].shape == (4, 5, 3)


def test_containers() -> None:
    """Lists, tuples and dicts, nested, with axes for parts of them; None is passed on, and so is what is not mapped."""
    w, b, x = eg.dmatrix("w"), eg.dvector("b"), eg.dmatrix("x")

    def layer(params: dict[str, Any], inputs: tuple[Any, Any], nothing: None, scale: float, power: int = 1) -> dict[str, Any]:
        assert nothing is None and scale == 2.0 and isinstance(params, dict)
        return {"out": [eg.tanh(inputs[0] @ params["w"] + params["b"]) * scale ** power], "bias": params["b"], "none": None}
    f = eg.vmap(layer, in_axes=({"w": None, "b": None}, 0, None, None), out_axes={"out": 0, "bias": None, "none": 0})
    made = f({"w": w, "b": b}, (x, x), None, 2.0, power=2)
    assert list(made) == ["out", "bias", "none"] and made["none"] is None and made["bias"].ndim == 1
    got = eg.compile([w, b, x], made["out"] + [made["bias"]], device="numpy")(np.ones((4, 2)), np.arange(2.0), Y)
    np.testing.assert_allclose(got[0], np.tanh(Y @ np.ones((4, 2)) + np.arange(2.0)) * 4)
    np.testing.assert_array_equal(got[1], np.arange(2.0))


def test_nested() -> None:
    """All pairs of rows, by one batch in another."""
    x, y = eg.dmatrix("x"), eg.dmatrix("y")
    pairs = eg.vmap(lambda a: eg.vmap(lambda b: eg.exp(-((a - b) ** 2).sum()) * a[eg.argmax(b)])(y))(x)
    got = eg.compile([x, y], pairs, device="numpy")(Y, Y[:3] * 0.5)
    wanted = [[np.exp(-((a - b) ** 2).sum()) * a[b.argmax()] for b in Y[:3] * 0.5] for a in Y]
    np.testing.assert_allclose(got, wanted)


@pytest.mark.parametrize("way", WAYS)
def test_nested_places(way: str) -> None:
    """Tensors and positions of two batches."""
    x, i = eg.dtensor3("x"), eg.lmatrix("i")
    f = eg.vmap(eg.vmap(lambda a, k: a[k] + a.sum(), in_axes=(0, None)), in_axes=(0, 0))
    got = eg.compile([x, i], f(x, i), **WAYS[way])(X, PLACES + 1)
    wanted = [[a[k] + a.sum() for a in xs] for xs, k in zip(X, PLACES + 1)]
    np.testing.assert_allclose(got, wanted)


@pytest.mark.parametrize("way", WAYS)
def test_nested_searches(way: str) -> None:
    """A vector for each lane of two batches, values for each of one of them."""
    x, v = eg.dtensor3("x"), eg.dmatrix("v")
    f = eg.vmap(lambda a, u: eg.vmap(lambda b: eg.searchsorted(b, u, side="right"))(a))
    got = eg.compile([x, v], [f(x, v), eg.vmap(f, in_axes=(None, 0))(x, eg.stack([v, v * 2]))], **WAYS[way])(np.sort(X), SMALL)
    wanted = [[[np.searchsorted(row, u, "right") for row in a] for a, u in zip(np.sort(X), SMALL * k)] for k in (1, 2)]
    np.testing.assert_array_equal(got[0], wanted[0])
    np.testing.assert_array_equal(got[1], wanted)


def test_gradient_for_each_row() -> None:
    """A shared variable that is captured is the same in every lane; its gradient is one of each lane."""
    w = eg.shared(RNG.normal(size=(4, 2)), name="w")
    x = eg.dmatrix("x")
    g = eg.vmap(lambda a: eg.grad((eg.tanh(a @ w) ** 2).sum(), w))(x)
    total = eg.grad((eg.tanh(x @ w) ** 2).sum(), w)
    each, whole = eg.compile([x], [g, total], device="numpy")(Y)
    assert each.shape == (5, 4, 2)
    np.testing.assert_allclose(each.sum(0), whole)


def test_gradient_of_a_batch() -> None:
    x, y = eg.dmatrix("x"), eg.dmatrix("y")
    made = eg.grad(eg.vmap(lambda a, b: eg.softmax(a)[eg.argmax(b)] * (a @ b))(x, y).sum(), [x, y])
    loop = eg.grad(sum((eg.softmax(x[i])[eg.argmax(y[i])] * (x[i] @ y[i]) for i in range(5)), eg.constant(0.0, dtype="float64")), [x, y])
    got = eg.compile([x, y], [*made, *loop], device="numpy")(Y, Y[::-1] * 2)
    np.testing.assert_allclose(got[0], got[2])
    np.testing.assert_allclose(got[1], got[3])


PRODUCTS = {"the right matrix is shared": (lambda a, w: a @ w, 2, (0, None), 2), "a matrix of each lane by a shared one": (
    lambda a, w: a @ w, 3, (0, None), 2), "the left matrix is shared": (lambda w, a: w @ a, 2, (None, 0), 2)}


@pytest.mark.parametrize("case", PRODUCTS)
def test_a_shared_matrix_makes_one_product(case: str) -> None:
    """Lanes are rows of one product then, not products of their own."""
    function, rank, axes, wanted = PRODUCTS[case]
    batch, shared = eg.tensor("batch", "float64", (None,) * rank), eg.dmatrix("w")
    made = eg.vmap(function, in_axes=axes)(*((batch, shared) if axes[0] == 0 else (shared, batch)))
    product, = [n for n in order([made]) if n.op.name == "matmul"]
    assert product.outs[0].ndim == wanted


@pytest.mark.parametrize("dtype", ["float64", "int64", "complex128"])
def test_products_of_columns_with_rows(dtype: str) -> None:
    """They have no negative zeros, as sums of products have none."""
    a, b = np.array([[[-0.0], [2.0]]] * 2, dtype), np.array([[[1.0, -3.0]], [[0.0, -0.0]]], dtype)
    inputs = symbols((a, b))
    f = eg.compile(inputs, eg.vmap(lambda x, y: eg.dot(x, y))(*inputs), device="numpy")
    wanted = np.stack([x @ y for x, y in zip(a, b)])
    np.testing.assert_array_equal(f(a, b), wanted)
    np.testing.assert_array_equal(np.signbit(f(a, b).real), np.signbit(wanted.real))


def test_what_no_lane_needs_stays() -> None:
    """What is the same in every lane is computed once, and nodes stay the same objects."""
    w, x = eg.dmatrix("w"), eg.dmatrix("x")
    heavy = eg.exp(w).sum(axis=0)
    made = eg.vmap(lambda a: a * heavy)(x)
    assert heavy.node in order([made])


def test_long_chains() -> None:
    """The walk does not recurse."""
    x = eg.dvector("x")

    def chain(a: Any) -> Any:
        for _ in range(5000):
            a = eg.sin(a)
        return a
    made = eg.vmap(chain)(x)
    assert made.ndim == 1 and len(order([made])) < 5010


FAULTS = {
    "x[i]": (lambda x, i: x[i], ONE, 5, 0, 3), "x[i] from the end": (lambda x, i: x[i], ONE, -7, 0, 3),
    "x[:, i]": (lambda x, i: x[:, i], ONE, 4, 1, 4), "x[[i]]": (lambda x, i: x[i], PLACES, 3, 0, 3),
    "x[:, [i]]": (lambda x, i: x[:, i], PLACES, -5, 1, 4), "take": (lambda x, i: eg.take(x, i, axis=1), PLACES, 9, 1, 4),
    "take_along_axis": (lambda x, i: eg.take_along_axis(x, i[:, None], 1), PLACES[:, :1].repeat(3, 1), 4, 1, 4),
    "x[[i], [i]]": (lambda x, i: x[i, i], PLACES, 3, 0, 3), "x[i].inc": (lambda x, i: x[i].inc(1.0), PLACES, 3, 0, 3),
    "a constant of all lanes": (lambda x, i: eg.as_tensor(np.arange(3.0))[i] + x.sum(), PLACES, 3, 0, 3)}


@pytest.mark.parametrize("case", FAULTS)
@pytest.mark.parametrize("way", WAYS)
def test_an_index_outside_in_one_lane(way: str, case: str) -> None:
    """The message has the index, the axis and the size that the function of one lane knows."""
    function, idx, bad, axis, size = FAULTS[case]
    wrong = idx.copy()
    wrong[(3, *[0] * (idx.ndim - 1))] = bad
    inputs = symbols((X, idx))
    f = eg.compile(inputs, eg.vmap(function)(*inputs), **WAYS[way])
    assert len(f(X, np.zeros_like(idx))) == 5
    with pytest.raises(IndexFault, match=rf"(?s)index {bad} is out of bounds for axis {axis} with size {size}.*test_vmap\.py") as caught:
        f(X, wrong)
    assert f"test_vmap.py:{function.__code__.co_firstlineno}" in str(caught.value)


def test_a_condition_of_each_lane_is_read_lane_by_lane() -> None:
    """An assertion has the shape of what it passes on: without the lanes of that, the lanes of its condition would be read as elements, and
    beyond the last one."""
    x, y = eg.dmatrix("x"), eg.dvector("y")
    out = eg.vmap(lambda a: eg.assert_op(y, a.sum() > 0, message="a row must not cancel"))(x)
    graph = run_graph(Graph((x, y), (out,)), {})
    found = next(n for n in order(graph.outputs) if n.op.name == "assert")
    assert found.outs[0].ndim == 2
    values = [np.array([[1.0, 2], [3, 4], [5, 6]]), np.arange(4.0)]
    for target in (CPU, GPU):
        np.testing.assert_array_equal(interpret(graph, [x.node, y.node], values, target)[0], [values[1]] * 3)


@pytest.mark.parametrize("way", WAYS)
def test_assertion_in_one_lane(way: str) -> None:
    x, y = eg.dmatrix("x"), eg.dvector("y")
    f = eg.compile([x, y], eg.vmap(lambda a: eg.assert_op(y, a.sum() > 0, message="a row must not cancel"))(x), **WAYS[way])
    assert f(np.ones((3, 2)), np.arange(4.0)).shape == (3, 4)
    with pytest.raises(AssertionError, match="a row must not cancel"):
        f(np.array([[1.0], [-1.0], [2.0]]), np.arange(4.0))


REFUSED = {
    "nonzero": (lambda x: eg.nonzero(x[:, 0])[0], "read from mapped values"), "mask": (lambda x: x[x > 0], "read from mapped values"),
    "unique": (lambda x: eg.unique(x), "read from mapped values"),
    "arange": (lambda x: eg.arange(eg.cast(x[0, 0], "int64")), "read from mapped values"),
    "slice": (lambda x: x[:eg.argmax(x[:, 0])], "subtensor: a size that depends on mapped values differs from lane to lane")}


@pytest.mark.parametrize("case", REFUSED)
def test_sizes_that_differ_from_lane_to_lane(case: str) -> None:
    function, words = REFUSED[case]
    with pytest.raises(GraphError, match=rf"(?s){words}.*test_vmap\.py:{function.__code__.co_firstlineno}"):
        eg.vmap(function)(eg.dtensor3("x"))


@pytest.mark.parametrize("make", [lambda n: eg.arange(n), lambda n: eg.zeros((n, 2)), lambda n: eg.zeros(4).reshape((n, -1))],
                         ids=["arange", "zeros", "reshape"])
def test_mapped_integers_are_no_sizes(make: Any) -> None:
    with pytest.raises(GraphError, match=r"(?s)differs from lane to lane.*test_vmap\.py"):
        eg.vmap(make)(eg.lvector("n"))


WRONG = {
    "nothing mapped": (lambda x, y: eg.vmap(lambda a: a, in_axes=None)(x), UseError, "no argument is mapped"),
    "no arguments": (lambda x, y: eg.vmap(lambda: x)(), UseError, "no argument is mapped"),
    "axis": (lambda x, y: eg.vmap(lambda a: a, in_axes=2)(x), RankError, r"argument 0 \(x\) has 2 axes, it cannot be mapped along axis 2"),
    "scalar": (lambda x, y: eg.vmap(lambda a: a)(x.sum()), RankError, "argument 0 has 0 axes"),
    "number": (lambda x, y: eg.vmap(lambda a, b: a * b)(x, 2.0), UseError, "argument 1 is the number 2.0, .*give it None in in_axes"),
    "number in a container": (lambda x, y: eg.vmap(lambda a: a)([x, {"k": 3}]), UseError, r"argument 0\[1\]\['k'\] is the number 3"),
    "form": (lambda x, y: eg.vmap(lambda a, b: a, in_axes=(0,))(x, y), UseError, r"in_axes=\(0,\) has another form .*items \[0\], \[1\]"),
    "what is no axis": (lambda x, y: eg.vmap(lambda a: a, in_axes="x")(x), UseError, "'x' for argument 0; an axis or None is needed"),
    "keyword": (lambda x, y: eg.vmap(lambda a, b: a)(x, b=y), UseError, "keyword argument b holds a symbol"),
    "out_axes": (lambda x, y: eg.vmap(lambda a: a, out_axes=2)(x), RankError, "has 2 axes with that of the batch, which cannot be axis 2"),
    "out_axes of what is mapped": (lambda x, y: eg.vmap(lambda a: a, out_axes=None)(x), UseError, "depends on a mapped argument"),
    "out_axes of another form": (lambda x, y: eg.vmap(lambda a: a, out_axes=(0, 0))(x), UseError, "out_axes=.* has another form"),
    "sizes": (lambda x, y: eg.vmap(lambda a, b: a)(np.ones((2, 3)), np.ones(4)), ShapeError,
              "axis 0 of argument 1 has 4 elements, axis 0 of argument 0 has 2"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_calls(case: str) -> None:
    call, error, words = WRONG[case]
    with pytest.raises(error, match=rf"(?s){words}.*test_vmap\.py"):
        call(eg.dmatrix("x"), eg.dmatrix("y"))


@pytest.mark.parametrize("way", WAYS)
def test_sizes_that_only_a_call_knows(way: str) -> None:
    """A batch axis of 1 is not broadcast."""
    x, y = eg.dmatrix("x"), eg.dmatrix("y")
    f = eg.compile([x, y], eg.vmap(lambda a, b: (a * b).sum(), in_axes=(0, 1))(x, y), **WAYS[way])
    np.testing.assert_allclose(f(Y, Y.T), (Y * Y).sum(1))
    with pytest.raises(ShapeError, match=r"axis 1 of argument 1 \(y\) has 1 elements, axis 0 of argument 0 \(x\) has 5"):
        f(Y, Y[:1].T)


def test_the_engine_checks_lengths() -> None:
    """`batched` is given tensors and their length apart: they must agree."""
    x = eg.dvector("x")
    with pytest.raises(ShapeError, match="has 4 elements, there are 3 lanes"):
        batched([x * 2], {x: eg.tensor("y", "float64", (4, None))}, eg.constant(3, dtype="int64"))
    same = batched([x * 2, eg.constant(1.0)], {x: eg.tensor("y", "float64", (4, None))}, eg.constant(4, dtype="int64"))
    assert [o.ndim for o in same] == [2, 1]


def test_equal_sizes_stay_provably_equal() -> None:
    """The lanes of two tensors of one shape have one shape, so that gradients need no sums back."""
    x = eg.dmatrix("x")
    made = eg.vmap(lambda a, b: eg.grad((a * b).sum(), a))(x, eg.exp(x))
    assert "sum_to" not in {n.op.name for n in order([made])}


def test_a_rule_of_a_row_of_the_users_own() -> None:
    """The slot of the row comes first; what it gives is checked; a row without a rule is named with its line."""
    own = eg.ROWS["sort"].changed(name="own", batch=lambda inputs, mapped, size, axis: eg.ROWS["sort"](inputs[0], axis=axis + 1) * 10)
    wrong, bare = own.changed(batch=lambda inputs, mapped, size, axis: inputs[0].sum()), own.changed(batch=None)
    x = eg.dmatrix("x")
    np.testing.assert_array_equal(eg.compile([x], eg.vmap(lambda a: own(a))(x), device="numpy")(Y), np.sort(Y, 1) * 10)
    with pytest.raises(GraphError, match=r"(?s)batch rule of own gave .*test_vmap\.py"):
        eg.vmap(lambda a: wrong(a))(x)
    with pytest.raises(GraphError, match=r"(?s)own, a row of the kind composite, has no rule for batches.*test_vmap\.py"):
        eg.vmap(lambda a: bare(a))(x)


def test_elementwise_rows_of_the_users_own_need_no_rule() -> None:
    own: Op = row("twice", lambda x, y: x + 2 * y, "{0} + 2 * {1}", arity=2)
    x, y = eg.dmatrix("x"), eg.dmatrix("y")
    got = eg.compile([x, y], eg.vmap(lambda a: own(a.sum(), y))(x), device="pocl")(Y, Y)
    np.testing.assert_allclose(got, Y.sum(1)[:, None, None] + 2 * Y)


def test_print_shows_the_batch(capsys: Any) -> None:
    x = eg.dvector("x")
    f = eg.compile([x], eg.vmap(lambda a: eg.Print("lanes", attrs=("shape",))(a) * 2)(x), device="numpy")
    assert f(np.ones(3)).tolist() == [2, 2, 2] and capsys.readouterr().out == "lanes shape = (3,)\n"


def test_markers_stay() -> None:
    x = eg.dmatrix("x")
    made = eg.vmap(lambda a: eg.disconnected_grad(a) * a + eg.zero_grad(a) * a)(x).sum()
    np.testing.assert_allclose(eg.compile([x], eg.grad(made, x), device="numpy")(Y), 2 * Y)


def test_name_and_text_of_the_function() -> None:
    def half(x: Any) -> Any:
        """Half of it."""
        return x / 2
    assert eg.vmap(half).__name__ == "half" and eg.vmap(half).__doc__ == "Half of it."


def test_the_documentation_runs() -> None:
    """The examples of the section on batches, top to bottom."""
    text = (Path(__file__).parents[1] / "docs" / "derivatives.md").read_text()
    section = text[text.index("\n## Batches"):].split("\n## ")[1]
    space: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", section, re.S):
        exec(block, space)
    losses, grads = space["f"](np.ones((3, 4), "float32"), np.array([0, 1, 0]), np.zeros((4, 2), "float32"))
    np.testing.assert_allclose(losses, np.full(3, np.log(2)), rtol=1e-6)
    np.testing.assert_allclose(grads[0], [[-0.5, 0.5]] * 4)
    assert space["distance"].ndim == space["c"].ndim == 2


def test_axes_may_be_integers_of_numpy() -> None:
    x = eg.dmatrix("x")
    value = np.arange(6.0).reshape(2, 3)
    y = eg.vmap(lambda v: v * v.sum(), in_axes=np.int64(1), out_axes=np.int8(-1))(x)
    np.testing.assert_array_equal(y.eval({x: value}), value * value.sum(axis=0))
