"""Batch normalisation, hierarchical softmax, blocks and patches against plain loops in NumPy; the namespace nnet."""
import itertools
import re

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import nnet
from exprgraph.reference import evaluate
from tests.function_table import Row, check_slope, check_values

RNG = np.random.default_rng(8)


def r(*shape):
    return RNG.normal(size=shape)


def trained(axes, short):
    """What the documentation says, step by step; statistics in the layout of the parameters."""
    def meaning(x, gamma, beta, mean, var):
        wide = [np.expand_dims(p, axes) if short else p for p in (gamma, beta, mean, var)]
        m, v = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        count = np.prod([x.shape[a] for a in axes])
        scale = 1 / np.sqrt(v + 1e-4)
        out = [(x - m) * scale * wide[0] + wide[1], m, scale, wide[2] * 0.9 + m * 0.1, wide[3] * 0.9 + v * count / (count - 1) * 0.1]
        return [out[0], *[np.squeeze(o, axes) if short else o for o in out[1:]]]
    return meaning


def normalized(axes):
    def meaning(x, gamma, beta, mean, var):
        g, b, m, v = (np.expand_dims(p, axes) for p in (gamma, beta, mean, var))
        return (x - m) / np.sqrt(v + 1e-4) * g + b
    return meaning


def sparse_blocks(W, h, i, b, o):
    out = b[o].copy()
    for n, j, k in itertools.product(range(h.shape[0]), range(o.shape[1]), range(h.shape[1])):
        out[n, j] += h[n, k] @ W[i[n, k], o[n, j]]
    return out


def soft(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def hierarchical(x, W1, b1, W2, b2):
    first, inner = soft(x @ W1 + b1), soft(np.einsum("bf,cfo->bco", x, W2) + b2)
    return (first[..., None] * inner).reshape(len(x), -1)[:, :5]


def patches(shape, step, mode):
    """Rows of patches by loops."""
    def meaning(x):
        if mode in ("half", "full"):
            w = [n // 2 if mode == "half" else n - 1 for n in shape]
            x = np.pad(x, ((0, 0), (0, 0), (w[0], w[0]), (w[1], w[1])))
        (height, width), wrap = x.shape[2:], mode == "wrap_centered"
        grid = [-(-n // s) if wrap else (n - d) // s + 1 for n, d, s in zip((height, width), shape, step)]
        rows = []
        for n, c, a, b in itertools.product(range(x.shape[0]), range(x.shape[1]), range(grid[0]), range(grid[1])):
            i = (a * step[0] + np.arange(shape[0]) - wrap * (shape[0] // 2)) % height
            j = (b * step[1] + np.arange(shape[1]) - wrap * (shape[1] // 2)) % width
            rows.append(x[n, c][np.ix_(i, j)].ravel())
        return np.array(rows)
    return meaning


PARAMETERS = [r(3), r(3), r(3), abs(r(3))]
SPATIAL = [r(2, 3, 4, 5), *PARAMETERS]
BLOCKS = np.array([[0, 2], [1, 1]]), np.array([[1, 0, 3], [2, 2, 0]])
SOFT = [r(4, 3), r(3, 2), r(2), r(2, 3, 3), r(2, 3)]
TARGET = np.array([4, 0, 2, 3])
IMAGES = r(2, 3, 6, 8)
ROWS = [
    Row("train per activation", lambda *a: eg.batch_normalization_train(*a[:3], running_mean=a[3], running_var=a[4]),
        trained((0,), True), [r(5, 3), *PARAMETERS]),
    Row("train with wide parameters", lambda *a: eg.batch_normalization_train(*a[:3], running_mean=a[3], running_var=a[4]),
        trained((0,), False), [r(5, 3), *[p[None] for p in PARAMETERS]]),
    Row("train spatial", lambda *a: eg.batch_normalization_train(*a[:3], "spatial", running_mean=a[3], running_var=a[4]),
        trained((0, 2, 3), True), SPATIAL),
    Row("train axes", lambda *a: eg.batch_normalization_train(*a, axes=(0, 2, 3)),
        lambda *a: trained((0, 2, 3), True)(*a, a[1], a[1])[:3], SPATIAL[:3]),
    Row("test spatial", lambda *a: eg.batch_normalization_test(*a, axes="spatial"), normalized((0, 2, 3)), SPATIAL),
    Row("test per activation", eg.batch_normalization_test, normalized((0,)), [r(5, 3), *PARAMETERS]),
    Row("batch_normalization", nnet.batch_normalization, lambda x, g, b, m, s: (x - m) / s * g + b, [r(5, 3), *PARAMETERS]),
    Row("sparse_block_dot", lambda W, h, b: eg.sparse_block_dot(W, h, BLOCKS[0], b, BLOCKS[1]),
        lambda W, h, b: sparse_blocks(W, h, BLOCKS[0], b, BLOCKS[1]), [r(3, 4, 2, 5), r(2, 2, 2), r(4, 5)]),
    Row("h_softmax", lambda x, *p: eg.h_softmax(x, x.shape[0], 5, 2, 3, *p), hierarchical, SOFT),
    Row("h_softmax of targets", lambda x, *p: eg.h_softmax(x, x.shape[0], 5, 2, 3, *p, TARGET),
        lambda *a: hierarchical(*a)[np.arange(4), TARGET], SOFT),
    *[Row(f"images2neibs {mode} {shape} {step}", lambda x, s=shape, t=step, m=mode: eg.images2neibs(x, s, t, m),
          patches(shape, step, mode), [IMAGES])
      for mode, shape, step in (("valid", (2, 4), (2, 4)), ("valid", (2, 3), (1, 5)), ("ignore_borders", (4, 3), (4, 3)),
                                ("ignore_borders", (3, 3), (2, 2)), ("wrap_centered", (3, 5), (2, 3)), ("half", (3, 3), (1, 1)),
                                ("full", (2, 3), (1, 3)))],
    Row("there and back", lambda x: eg.neibs2images(eg.images2neibs(x, (2, 4)), (2, 4), x.shape), lambda x: x, [IMAGES]),
    Row("back with borders",
        lambda x: eg.neibs2images(eg.images2neibs(x, (4, 3), mode="ignore_borders"), (4, 3), x.shape, "ignore_borders"),
        lambda x: np.pad(x[:, :, :4, :6], ((0, 0), (0, 0), (0, 2), (0, 2))), [IMAGES])]


@pytest.mark.parametrize("device, schedule", [("numpy", None), ("pocl", "cpu"), ("pocl", "gpu")])
def test_values(device, schedule):
    check_values(ROWS[::4] if schedule == "gpu" else ROWS, device, schedule)  # each is made of rows, which are all tested there


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_i6_gradients(row):
    check_slope(row)


def test_targets_sum_to_one_over_all_outputs():
    symbols = [eg.tensor(dtype="float64", shape=a.ndim) for a in SOFT]
    every = evaluate([eg.h_softmax(symbols[0], 4, 6, 2, 3, *symbols[1:])], {s.node: a for s, a in zip(symbols, SOFT)})[0]
    np.testing.assert_allclose(every.sum(1), 1)


def test_sizes_of_patches_may_be_scalars_of_the_graph(device):
    x, n = eg.dtensor4("x"), eg.lscalar("n")
    f = eg.compile([x, n], eg.images2neibs(x, (n, 2)))
    for height in (1, 2, 6):
        np.testing.assert_array_equal(f(IMAGES, height), patches((height, 2), (height, 2), "valid")(IMAGES))
    with pytest.raises(eg.ShapeError, match="do not fit axis 2"):
        f(IMAGES, 4)


def test_c8_blocks_and_targets_outside_are_faults(device):
    i = eg.lmatrix("i")
    f = eg.compile([i], eg.sparse_block_dot(r(3, 4, 2, 5), r(1, 2, 2), i, r(4, 5), np.array([[0]])))
    f(np.array([[0, 2]]))
    for bad in (3, -1):
        with pytest.raises(eg.IndexFault, match="out of bounds"):
            f(np.array([[0, bad]]))


def test_confusion_matrix(device):
    a, p = eg.lvectors("ap")
    f = eg.compile([a, p], eg.confusion_matrix(a, p))
    matrix, labels = f(np.array([2, 0, 2, 2, 0, 1]), np.array([0, 0, 2, 2, 0, 2]))
    np.testing.assert_array_equal(matrix, [[2, 0, 0], [0, 0, 1], [1, 0, 2]])
    np.testing.assert_array_equal(labels, [0, 1, 2])
    matrix, labels = f(np.array([7, 7]), np.array([7, -3]))
    np.testing.assert_array_equal(matrix, [[0, 0], [1, 1]])


def test_a_porting_user_finds_the_namespace():
    x = eg.matrix("x")
    assert eg.nnet is nnet and nnet.sigmoid is eg.sigmoid and nnet.softmax is eg.softmax and nnet.relu is eg.relu
    assert all(callable(getattr(nnet, name)) for name in nnet.__all__)
    assert nnet.categorical_crossentropy(nnet.softmax(x), eg.ivector("t")).ndim == 1


x, v, m = eg.tensor4("x"), eg.vector("v"), eg.matrix("m")
BAD = [
    (lambda: eg.batch_normalization_train(m, v, v, "rows"), eg.UseError, "axes must be"),
    (lambda: eg.batch_normalization_train(m, eg.tensor3(), v), eg.RankError, "gamma has 3 axes"),
    (lambda: eg.batch_normalization_train(m, v, m), eg.RankError, "the axes of gamma"),
    (lambda: eg.batch_normalization_test(m, v, v, v, v, epsilon=0), eg.ShapeError, "at least 1e-05, not 0"),
    (lambda: eg.batch_normalization_test(eg.scalar(), v, v, v, v), eg.RankError, "no axis 0"),
    (lambda: eg.sparse_block_dot(x, m, m, m, m), eg.RankError, "4, 3, 2, 2 and 2 axes, not 4, 2, 2, 2, 2"),
    (lambda: eg.confusion_matrix(v, m), eg.RankError, "two vectors, not tensors of 1 and 2"),
    (lambda: eg.images2neibs(m, (2, 2)), eg.RankError, "4 axes, not 2"), (lambda: eg.images2neibs(x, 2), eg.ShapeError, "two positive"),
    (lambda: eg.images2neibs(x, (2, 2), mode="same"), eg.UseError, "mode must be"),
    (lambda: eg.images2neibs(x, (0, 2)), eg.ShapeError, "two positive"),
    (lambda: eg.images2neibs(x, (2, 3), mode="wrap_centered"), eg.ShapeError, "odd sizes, not 2"),
    (lambda: eg.images2neibs(eg.tensor(shape=(1, 1, 5, 4)), (2, 2)), eg.ShapeError, "they fill 4 of its 5 elements"),
    (lambda: eg.neibs2images(v, (2, 2), (1, 1, 2, 2)), eg.RankError, "a matrix and a shape of 4"),
    (lambda: eg.neibs2images(m, (2, 2), (1, 1, 2, 2), "half"), eg.UseError, "mode must be"),
    (lambda: eg.neibs2images(m, (2, 2), (1, 1, 3, 2)), eg.ShapeError, "fill 2 of the 3 elements of axis 2")]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_input_is_named_with_the_line(number):
    make, error, message = BAD[number]
    with pytest.raises(error, match=message) as found:
        make()
    assert re.search(r"\n  at .*test_nnet_layers.py:\d+$", str(found.value))
