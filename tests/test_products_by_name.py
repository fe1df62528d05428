"""kron, inner, vecdot, matvec, matrix_power, multi_dot, cross, block_diag and batched products against NumPy."""
import re

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.reference import evaluate
from tests.function_table import Row, check_slope, check_values

RNG = np.random.default_rng(4)


def r(*shape):
    return RNG.normal(size=shape)


def blocks(*arrays):
    parts = [np.atleast_2d(a) for a in arrays]
    out = np.zeros(np.sum([p.shape for p in parts], axis=0))
    i = j = 0
    for p in parts:
        out[i:i + p.shape[0], j:j + p.shape[1]] = p
        i, j = i + p.shape[0], j + p.shape[1]
    return out


ROWS = [
    *[Row("kron", eg.kron, np.kron, [r(*a), r(*b)]) for a, b in (((2, 3), (3, 2)), ((2,), (3,)), ((2,), (3, 2)), ((2, 1, 3), (2, 2)),
                                                                 ((), (2, 2)), ((0, 2), (2, 2)), ((), ()))],
    Row("kron of integers", eg.kron, np.kron, [np.arange(4).reshape(2, 2), np.arange(3, dtype="int8")], False),
    *[Row("inner", eg.inner, np.inner, [r(*a), r(*b)]) for a, b in (((3,), (3,)), ((2, 3), (4, 3)), ((2, 3), (3,)), ((), (2, 3)),
                                                                    ((2, 2, 3), (4, 3)))],
    Row("vecdot", eg.vecdot, lambda a, b: (a * b).sum(-1), [r(2, 3), r(2, 3)]),
    Row("vecdot spread", eg.vecdot, lambda a, b: (a * b).sum(-1), [r(4, 1, 3), r(2, 3)]),
    Row("vecdot axis", lambda a, b: eg.vecdot(a, b, axis=0), lambda a, b: (a * b).sum(0), [r(3, 2), r(3, 2)]),
    Row("matvec", eg.matvec, lambda a, b: (a @ b[..., None])[..., 0], [r(4, 2, 3), r(4, 3)]),
    Row("matvec spread", eg.matvec, lambda a, b: (a @ b[..., None])[..., 0], [r(2, 3), r(4, 3)]),
    Row("vecmat", eg.vecmat, lambda a, b: (a[..., None, :] @ b)[..., 0, :], [r(4, 3), r(4, 3, 2)]),
    Row("vecmat one", eg.vecmat, lambda a, b: a @ b, [r(3), r(3, 2)]),
    *[Row(f"power {n}", lambda a, n=n: eg.matrix_power(a, n), lambda a, n=n: np.linalg.matrix_power(a, n), [r(*s)], n > 0)
      for n, s in ((0, (2, 2)), (1, (3, 3)), (2, (3, 3)), (5, (2, 2, 2)), (0, (2, 2, 2)), (6, (2, 2)))],
    Row("multi_dot", lambda *m: eg.multi_dot(m), lambda *m: np.linalg.multi_dot(m), [r(3), r(3, 4), r(4, 2), r(2)]),
    Row("multi_dot of matrices", lambda *m: eg.multi_dot(m), lambda *m: np.linalg.multi_dot(m), [r(2, 3), r(3, 4), r(4, 2)]),
    Row("matrix_dot", eg.matrix_dot, lambda a, b, c: a @ b @ c, [r(2, 3), r(3, 4), r(4, 2)]),
    Row("cross", eg.cross, np.cross, [r(4, 3), r(4, 3)]),
    Row("cross spread", eg.cross, np.cross, [r(2, 1, 3), r(3)]),
    Row("cross axes", lambda a, b: eg.cross(a, b, axisa=0, axisb=1, axisc=0), lambda a, b: np.cross(a, b, axisa=0, axisb=1, axisc=0),
        [r(3, 2), r(2, 3)]),
    Row("block_diag", eg.block_diag, blocks, [r(2, 3), r(1, 2), r(3)]),
    Row("block_diag of one", eg.block_diag, blocks, [r(2, 0)]),
    Row("vdot", eg.vdot, np.vdot, [r(2, 3), r(2, 3)]),
    Row("batched_dot", eg.batched_dot, lambda a, b: a @ b, [r(4, 2, 3), r(4, 3, 2)]),
    Row("batched_tensordot", lambda a, b: eg.batched_tensordot(a, b, [[2], [1]]), lambda a, b: np.einsum("bij,bjk->bik", a, b),
        [r(4, 2, 3), r(4, 3, 2)]),
    Row("batched_tensordot of two", eg.batched_tensordot, lambda a, b: np.einsum("bij,bij->b", a, b), [r(4, 2, 3), r(4, 2, 3)])]


@pytest.mark.parametrize("device, schedule", [("numpy", None), ("pocl", "cpu"), ("pocl", "gpu")])
def test_values(device, schedule):
    check_values(ROWS[::4] if schedule == "gpu" else ROWS, device, schedule)  # each is made of rows, which are all tested there


@pytest.mark.parametrize("row", [r for r in ROWS if r.smooth and all(a.size for a in r.arrays)], ids=lambda r: r.name)
def test_i6_gradients(row):
    check_slope(row)


@pytest.mark.parametrize("function", [eg.vdot, eg.inner, eg.vecdot, eg.dot, eg.matmul])
def test_sums_of_products_of_bool_and_small_integers(function):
    for a, b in ((np.array([True, True]), np.array([True, True])), (np.int8([100, 100]), np.int8([2, 1]))):
        x, y = (eg.tensor(n, a.dtype, (None,)) for n in "xy")
        got = evaluate([function(x, y)], {x.node: a, y.node: b})[0]
        want = np.dot(a, b)
        assert (got, got.dtype) == (want, want.dtype)


def test_numpys_names_on_symbols(device):
    m = eg.dmatrix("m")
    f = eg.compile([m], [np.kron(m, np.eye(2)), np.inner(m, m), np.cross(m, m[0]), np.linalg.matrix_power(m, 3)])
    a = r(3, 3)
    for got, want in zip(f(a), (np.kron(a, np.eye(2)), np.inner(a, a), np.cross(a, a[0]), np.linalg.matrix_power(a, 3))):
        np.testing.assert_allclose(got, want, atol=1e-12)


v, m = eg.vector("v"), eg.matrix("m")
BAD = [
    (lambda: eg.matrix_power(m, -1), eg.UseError, "inverse that n = -1 asks for is not there yet"),
    (lambda: eg.matrix_power(m, 0.5), eg.UseError, "Python integer, not 0.5"), (lambda: eg.matrix_power(v, 2), eg.RankError, "has 1 axes"),
    (lambda: eg.matrix_power(eg.tensor(shape=(2, 3)), 2), eg.ShapeError, "2 rows and 3 columns"),
    (lambda: eg.multi_dot([m]), eg.CallError, "at least two"), (lambda: eg.multi_dot([m, v, m]), eg.RankError, "ranks given: 2, 1, 2"),
    (lambda: eg.cross(eg.tensor(shape=(2,)), v), eg.ShapeError, "3 elements, not 2"),
    (lambda: eg.block_diag(), eg.CallError, "at least one"),
    (lambda: eg.block_diag(m, eg.tensor3()), eg.RankError, "takes matrices"), (lambda: eg.matvec(v, m), eg.RankError, "has 1 axes"),
    (lambda: eg.vecmat(v, v), eg.RankError, "has 1 axes"), (lambda: eg.matrix_dot(), eg.CallError, "at least one"),
    (lambda: eg.inner(eg.tensor(shape=(2,)), eg.tensor(shape=(3,))), eg.ShapeError, "3"),
    (lambda: eg.vecdot(eg.tensor(shape=(2,)), eg.tensor(shape=(3,))), eg.ShapeError, "has 3 elements, the other has 2")]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_input_is_named_with_the_line(number):
    make, error, message = BAD[number]
    with pytest.raises(error, match=message) as found:
        make()
    assert re.search(r"\n  at .*test_products_by_name.py:\d+$", str(found.value))
