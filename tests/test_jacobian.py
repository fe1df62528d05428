"""Jacobians and Hessians: both modes against differences and each other, shapes, sparse patterns, and what is wrong."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import DisconnectedInputError, GradientError, ShapeError
from exprgraph.jacobians import colours, pattern_of
from exprgraph.node import Out
from exprgraph.reference import evaluate

RNG = np.random.default_rng(6)
X, A = RNG.uniform(0.5, 1.5, 4), RNG.uniform(-1, 1, (3, 4))
FUNCTIONS = {
    "vector of vector": (lambda x: eg.tanh(eg.constant(A) @ x), X), "matrix of vector": (lambda x: x[:, None] * eg.sin(x), X),
    "vector of matrix": (lambda x: (x ** 2).sum(axis=0) * x[0], A), "matrix of matrix": (lambda x: x @ x.T, A),
    "scalar of matrix": (lambda x: (x ** 3).sum(), A), "vector of scalar": (lambda x: x * eg.constant(X) ** x, np.float64(1.3)),
    "scalar of scalar": (lambda x: eg.exp(x) * x, np.float64(0.3)), "softmax": (lambda x: eg.softmax(x), X),
    "sorted": (lambda x: eg.sort(x) * x, X), "picked": (lambda x: x[np.array([2, 2, 0])] ** 2, X), "running": (eg.cumprod, X),
    "itself": (lambda x: x, X), "part": (lambda x: x[1:] - x[:-1], X), "solve by series": (lambda x: x / (1 + eg.sqrt(x).sum()), X)}


def differences(function, point: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """The Jacobian by central differences: the result's axes, then the point's."""
    x = eg.tensor("x", "float64", (None,) * point.ndim)
    y = function(x)
    found = []
    for k in range(point.size):
        away = np.zeros(point.size)
        away[k] = step
        up, down = (evaluate([y], {x.node: point + s * away.reshape(point.shape)})[0] for s in (1, -1))
        found.append((up - down) / (2 * step))
    return np.stack(found, axis=-1).reshape(found[0].shape + point.shape)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name: str, mode: str) -> None:
    function, point = FUNCTIONS[name]
    point = np.asarray(point)
    x = eg.tensor("x", "float64", (None,) * point.ndim)
    got = eg.compile([x], eg.jacobian(function(x), x, mode=mode), device="numpy")(point)
    np.testing.assert_allclose(got, differences(function, point), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_on_pocl(mode: str, schedule: str) -> None:
    """One compile for every size."""
    x, w = eg.vector("x"), eg.matrix("w")
    out = eg.jacobian(eg.tanh(w @ x) * eg.softmax(w @ x), [x, w], mode=mode)
    f, oracle = eg.compile([x, w], out, device="pocl", schedule=schedule), eg.compile([x, w], out, device="numpy")
    for n, m in ((4, 3), (1, 5), (7, 1), (3, 0)):
        values = RNG.standard_normal(n).astype("float32"), RNG.standard_normal((m, n)).astype("float32")
        if not m:
            continue
        for got, want in zip(f(*values), oracle(*values)):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_of_jacobian() -> None:
    """A Jacobian of a Jacobian, and the gradient of one."""
    x = eg.dvector("x")
    j = eg.jacobian(x ** 3, x)
    second = eg.compile([x], eg.jacobian(j, x, mode="forward"), device="numpy")([1.0, 2.0])
    assert second.shape == (2, 2, 2) and second[0, 0, 0] == 6 and second[1, 1, 1] == 12 and np.count_nonzero(second) == 2
    assert eg.compile([x], eg.grad(j.sum(), x), device="numpy")([1.0, 2.0]).tolist() == [6, 12]


def test_zero_sizes() -> None:
    x, y = eg.dvectors("x", "y")
    f = eg.compile([x, y], eg.jacobian(x * y.sum(), [x, y]), device="numpy")
    a, b = f([], [1.0, 2.0])
    assert a.shape == (0, 0) and b.shape == (0, 2)
    a, b = f([1.0], [])
    assert a.shape == (1, 1) and b.shape == (1, 0)


def test_structures_policies_and_constants() -> None:
    x, y = eg.dvectors("x", "y")
    assert isinstance(eg.jacobian(x, [x]), list) and isinstance(eg.jacobian(x, (x,)), tuple)
    for mode in ("forward", "reverse"):
        with pytest.raises(DisconnectedInputError, match="respect to y|derivative of"):
            eg.jacobian(x * 2, y, mode=mode)
        zeros = eg.compile([x, y], eg.jacobian(x * 2, y, disconnected_inputs="ignore", mode=mode), device="numpy")
        assert zeros([1.0, 2], [1.0, 2, 3]).tolist() == [[0, 0, 0]] * 2
        part = x * x
        held = eg.compile([x], eg.jacobian(part * x, x, consider_constant=[part], mode=mode), device="numpy")
        assert held([2.0, 3.0]).tolist() == [[4, 0], [0, 9]]
    jump = eg.compile([x], eg.jacobian(eg.floor(x), x), device="numpy")
    assert jump([1.5]).tolist() == [[0]]


@pytest.mark.parametrize("make, words", [
    (lambda x: eg.jacobian(x, 3), "with respect to symbols"), (lambda x: eg.jacobian(x, x, sparsity=np.ones(3)), "sparsity= is a matrix"),
    (lambda x: eg.jacobian(x, [x], sparsity=np.eye(3)), "for one symbol"),
    (lambda x: eg.jacobian(x, eg.zvector()), "complex"), (lambda x: eg.jacobian(eg.complex(x, x), x, mode="forward"), "complex"),
    (lambda x: eg.jacobian(x, x, sparse=True), "sparse=True needs it"),
    (lambda x: eg.hessian(x, x), "1 axes")])
def test_wrong_arguments(make, words: str) -> None:
    with pytest.raises(GradientError, match=words) as caught:
        make(eg.dvector("x"))
    assert "test_jacobian.py" in str(caught.value)


def test_wrong_mode() -> None:
    with pytest.raises(ValueError, match="mode='sideways'"):
        eg.jacobian(eg.dvector("x"), eg.dvector("x"), mode="sideways")


def test_the_smaller_side_is_chosen_where_sizes_say_so() -> None:
    x = eg.tensor("x", "float64", (2,))
    wide, narrow = eg.concatenate([x, x, x]) ** 2, x.sum()
    lengths = [eg.jacobian(y, x).node.op.name for y in (wide, narrow)]
    assert lengths == ["reshape", "reshape"]
    steps = [max(d.const or 0 for n in eg.graph.order([eg.jacobian(wide, x, mode=m)]) if n.op.name == "iota" for d in n.outs[0].shape)
             for m in ("auto", "forward", "reverse")]
    assert steps == [2, 2, 6]


def banded(x: Out) -> Out:
    """Each element with its neighbours."""
    pad = eg.zeros((1,), dtype="float64")
    return x ** 2 * 3 + eg.concatenate([pad, x[:-1]]) * x - eg.sin(eg.concatenate([x[1:], pad]))


def arrow(x: Out) -> Out:
    """A first element that all depend on: one full column, so that rows have few colours and columns many."""
    return x * x[0] + x


PATTERNS = {"banded": (banded, np.eye(7) + np.eye(7, k=1) + np.eye(7, k=-1), 3, 3),
            "arrow": (arrow, np.eye(7) + np.eye(7)[:1].repeat(7, 0), 2, 7),
            "diagonal": (lambda x: x ** 3, np.eye(7), 1, 1), "full": (lambda x: x * x.sum(), np.ones((7, 7)), 7, 7),
            "wide": (lambda x: x[1:4] * x[0], np.eye(3, 7, 1) + np.eye(7)[:1], 2, 3)}


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", PATTERNS)
def test_sparse_patterns(name: str, mode: str) -> None:
    function, pattern, columns, rows = PATTERNS[name]
    assert colours(pattern_of(pattern)).max() + 1 == columns and colours(pattern_of(pattern).turned()).max() + 1 == rows
    x = eg.dvector("x")
    outs = [eg.jacobian(function(x), x), eg.jacobian(function(x), x, sparsity=pattern, mode=mode),
            eg.jacobian(function(x), x, sparsity=pattern, sparse=True, mode=mode)]
    dense, compressed, values = eg.compile([x], outs, device="numpy")(np.arange(1.0, 8))
    np.testing.assert_allclose(compressed, dense, rtol=1e-12)
    np.testing.assert_allclose(values, dense[np.nonzero(pattern)], rtol=1e-12)


def test_colours_are_proper() -> None:
    """No two columns of one colour share a row, in random patterns, and no more colours than a greedy bound allows."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        pattern = rng.random((rng.integers(1, 30), rng.integers(1, 30))) < rng.random() * 0.4
        found = colours(pattern_of(pattern))
        for colour in range(found.max() + 1):
            assert (pattern[:, found == colour].sum(axis=1) <= 1).all()
        shared = (pattern.T.astype(int) @ pattern) > 0
        assert found.max() <= shared.sum(axis=1).max()


def test_a_pattern_that_does_not_fit() -> None:
    x = eg.dvector("x")
    f = eg.compile([x], eg.jacobian(x ** 2, x, sparsity=np.eye(3)), device="numpy")
    with pytest.raises(ShapeError, match="test_jacobian.py"):
        f([1.0, 2.0])
    assert f([1.0, 2.0, 3.0]).diagonal().tolist() == [2, 4, 6]


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_hessian_of_fifty_dimensions_with_one_compile(schedule: str) -> None:
    z = eg.vector("z")
    matrix = RNG.standard_normal((50, 50)).astype("float32")
    cost = eg.logsumexp(eg.constant(matrix) @ z / 10) + (z ** 4).sum() / 12
    f = eg.compile([z], [eg.hessian(cost, z), eg.hessian_vector_product(cost, z, z)], device="pocl", schedule=schedule)
    point = RNG.standard_normal(50).astype("float32")
    got, product = f(point)
    m = matrix.astype("float64") / 10
    p = np.exp(m @ point - (m @ point).max())
    p /= p.sum()
    want = m.T @ (np.diag(p) - np.outer(p, p)) @ m + np.diag(point.astype("float64") ** 2)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(product, want @ point, rtol=1e-4, atol=1e-4)


def test_hessians_of_several_symbols_are_their_own_blocks() -> None:
    x, y = eg.dvector("x"), eg.dmatrix("y")
    cost = (x ** 2 * y).sum() + (y ** 3).sum()
    hx, hy = eg.compile([x, y], eg.hessian(cost, [x, y]), device="numpy")([1.0, 2.0], np.ones((3, 2)))
    assert hx.tolist() == [[6, 0], [0, 6]] and hy.shape == (3, 2, 3, 2) and np.count_nonzero(hy) == 6 and hy[2, 1, 2, 1] == 6
    straight = eg.compile([x], eg.hessian(x.sum(), x), device="numpy")([1.0, 2.0])
    assert straight.tolist() == [[0, 0], [0, 0]]
    pair = eg.hessian_vector_product(cost, [x, y], [x, None])
    assert [p.ndim for p in pair] == [1, 2]


def test_patterns_of_scipy_and_long_bands() -> None:
    """Memory grows with the elements: the dense pattern would have 2.5e9."""
    sparse = pytest.importorskip("scipy.sparse")
    n = 50_000
    band = sparse.diags([np.ones(n - 1), np.ones(n), np.ones(n - 1)], [-1, 0, 1])
    x = eg.vector("x")
    y = x ** 2 + eg.concatenate([x[1:], eg.zeros((1,))]) - 2 * eg.concatenate([eg.zeros((1,)), x[:-1]])
    values = eg.compile([x], eg.jacobian(y, x, sparsity=band, sparse=True), device="numpy")(np.ones(n, "float32"))
    assert values.shape == (3 * n - 2,) and values[:5].tolist() == [2, 1, -2, 2, 1]
    doubled = sparse.coo_matrix(([1, 1, 0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert [v.tolist() for v in pattern_of(doubled)[:2]] == [[0], [1]]


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_dtype_and_policy_do_not_depend_on_the_mode(mode: str) -> None:
    x, y = eg.tensor("x", "float32", (2,)), eg.dvector("y")
    assert eg.jacobian(eg.concatenate([x, x, x]).astype("float64"), x, mode=mode).dtype == "float32"
    assert eg.jacobian(y, []) == []
    with pytest.raises(DisconnectedInputError):
        eg.jacobian(eg.cast(eg.argmax(x), "float64") * y, x, mode=mode)
    with pytest.raises(DisconnectedInputError):
        eg.jacobian(y * 2, eg.lscalar("k"), mode=mode)
    with pytest.raises(ValueError, match="disconnected_inputs='no'"):
        eg.jacobian(x, x, disconnected_inputs="no", mode=mode)


def test_consider_constant_is_one_symbol_or_any_iterable() -> None:
    x = eg.dvector("x")
    y = x ** 2
    for given in (y, [y], (s for s in [y])):
        h = eg.compile([x], eg.hessian((x * y).sum(), x, consider_constant=given), device="numpy")([1.0, 2.0])
        assert h.tolist() == [[0, 0], [0, 0]]
    assert eg.compile([x], eg.jacobian(x * y, x, consider_constant=y), device="numpy")([2.0]).tolist() == [[4]]
