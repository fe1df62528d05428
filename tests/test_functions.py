"""The composed functions against NumPy: statistics, norms, products, activations, cross-entropies, names."""
import inspect
import math
import re
import subprocess
import sys
import types
from functools import partial

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import node
from exprgraph.dtypes import FLOATS, INTS
from tests.test_reduce import slope_error, value

nan, inf = np.nan, np.inf
RNG = np.random.default_rng(3)
X = RNG.normal(size=(2, 3, 4))


def logsumexp(x, axis=None, keepdims=False):
    return np.logaddexp.reduce(x, axis=axis, keepdims=keepdims) if isinstance(axis, int) else np.log(np.exp(x).sum(axis, keepdims=keepdims))


STATS = {
    "mean": np.mean, "var": np.var, "std": np.std, "ptp": np.ptp, "logsumexp": logsumexp,
    "norm": lambda x, axis=None, keepdims=False: np.sqrt((x * x).sum(axis, keepdims=keepdims))}


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)], ids=str)
@pytest.mark.parametrize("name", STATS)
def test_statistics(name, axis, keepdims):
    got = value(lambda x: getattr(eg, name)(x, axis=axis, keepdims=keepdims), X)
    np.testing.assert_allclose(got, STATS[name](X, axis=axis, keepdims=keepdims), rtol=1e-12)
    if name != "logsumexp":
        np.testing.assert_array_equal(value(lambda x: getattr(x, name)(axis=axis, keepdims=keepdims), X), got)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("make", [
    eg.mean, eg.var, eg.std, eg.logsumexp, eg.norm, eg.softmax, eg.log_softmax, eg.silu, eg.gelu, eg.selu, eg.softsign, eg.log_sigmoid,
    lambda x: eg.norm(x, 3, axis=1), lambda x: eg.norm(x, 1), lambda x: eg.norm(x, inf, axis=0), lambda x: eg.relu(x, 0.1), eg.elu,
    lambda x: eg.gelu(x, approximate=True), lambda x: eg.var(x, axis=1, ddof=1, corrected=True), lambda x: eg.softmax(x, axis=(0, 2)),
    lambda x: eg.sigmoid_binary_crossentropy(x, 0.3), lambda x: eg.binary_crossentropy(eg.sigmoid(x), 0.3), lambda x: eg.cov(x[0]),
    lambda x: eg.cross_entropy_with_logits(x, np.array([[0, 3, 1], [2, 2, 0]]))])
def test_i6_gradients(make, order):
    assert slope_error(lambda x: make(x) * x.mean(), X, order=order) < 1e-6


@pytest.mark.parametrize("dtype", INTS + ("bool",))
def test_a11_mean_of_integers_is_floatx(dtype):
    array = np.array([[1, 0, 1], [1, 1, 1]]).astype(dtype) if dtype == "bool" else np.array([[100, 100, 100], [1, 2, 4]], dtype)
    got = value(lambda x: x.mean(axis=1), array)
    assert got.dtype == "float32"
    np.testing.assert_allclose(got, array.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(value(lambda x: x.var(), array), array.var(), rtol=1e-6)
    assert value(lambda x: x.mean(dtype="float64"), array).dtype == "float64"


def test_a11_mean_of_large_integers():
    for array in (np.full(9, 2 ** 31 - 1, "int32"), np.full(9, 2 ** 62), np.full(3, 2 ** 63, "uint64")):
        np.testing.assert_allclose(value(eg.mean, array), array.mean(), rtol=1e-6)


@pytest.mark.parametrize("ddof", [0, 1, 2, 3])
def test_i7_variance_of_few_elements(ddof):
    for n in (1, 2, 3):
        array = np.arange(n, dtype="float64")
        with np.errstate(all="ignore"), pytest.warns() if ddof >= n else np.errstate():
            want = np.var(array, ddof=ddof)
        np.testing.assert_allclose(value(lambda x: eg.var(x, ddof=ddof), array), want)
        np.testing.assert_allclose(value(lambda x: eg.var(x, ddof=ddof), np.arange(n, dtype="float64").reshape(1, n)[0]), want)


def test_a7_variance_of_a_constant_is_zero():
    np.testing.assert_array_equal(value(eg.var, np.full((8,), 0.1, "float32")), 0)


@pytest.mark.parametrize("make, want", [
    (eg.norm, 0), (eg.std, 0), (lambda x: eg.norm(x, 1), 0), (lambda x: eg.norm(x, 3), 0), (lambda x: eg.norm(x, 0.5), 0)])
def test_i7_gradient_of_a_norm_at_zero(make, want):
    array = np.zeros(3, "float32")
    np.testing.assert_array_equal(value(make, array), want)
    np.testing.assert_array_equal(value(lambda x: eg.grad(make(x), x), array), np.zeros(3))
    assert value(lambda x: eg.grad(eg.norm(x, inf), x), array).sum() == 0


@pytest.mark.parametrize("row", [[nan, 1.0], [inf, 1.0], [-inf, inf]], ids=str)
def test_norm_of_special_values(row):
    array = np.array(row)
    for p in (None, 1, 2, 3, inf):
        np.testing.assert_array_equal(value(lambda x, p=p: eg.norm(x, p), array), np.linalg.norm(array, p), err_msg=str(p))


@pytest.mark.parametrize("p", [-inf, -1, 0, 0.5, 1, 2, 3, inf])
def test_norms_of_vectors(p):
    np.testing.assert_allclose(value(lambda x: eg.norm(x, p), X[0, 0]), np.linalg.norm(X[0, 0], p), rtol=1e-12)
    np.testing.assert_allclose(value(lambda x: eg.norm(x, p, axis=1), X), np.linalg.norm(X, p, axis=1), rtol=1e-12)


@pytest.mark.parametrize("p", [None, "fro", 1, -1, inf, -inf])
def test_norms_of_matrices_are_numpys(p):
    for array, axis in ((X[0], None), (X, (0, 2)), (X, (-1, 1))):
        for keepdims in (False, True):
            want = np.linalg.norm(array, p, axis, keepdims)
            got = value(lambda x, a=axis, k=keepdims: eg.norm(x, p, axis=a, keepdims=k), array)
            np.testing.assert_allclose(got, want, rtol=1e-12)
            assert got.shape == np.shape(want)
    np.testing.assert_allclose(value(lambda x: eg.matrix_norm(x, ord=p or "fro"), X), np.linalg.norm(X, p, (1, 2)), rtol=1e-12)
    np.testing.assert_allclose(value(lambda x: np.linalg.norm(x, p), X[0]), np.linalg.norm(X[0], p), rtol=1e-12)
    assert slope_error(lambda x: eg.norm(x, p), X[0]) < 1e-6


def test_the_method_norm_takes_the_elements_of_matrices_together_as_in_theano():
    np.testing.assert_allclose(value(lambda x: x.norm(2), X[0]), np.linalg.norm(X[0].ravel()), rtol=1e-12)
    np.testing.assert_allclose(value(lambda x: x.norm(1), X[0]), abs(X[0]).sum(), rtol=1e-12)
    np.testing.assert_allclose(value(lambda x: eg.vector_norm(x, ord=3), X[0]), np.linalg.norm(X[0].ravel(), 3), rtol=1e-12)
    for p, why in ((2, "singular values"), ("nuc", "singular values"), (3, "no norm of matrices")):
        with pytest.raises(eg.UseError, match=why):
            eg.norm(eg.matrix(), p)


def test_acc_dtype_is_taken_and_sums_keep_their_dtype():
    x = np.full(1000, 0.1, "float32")
    for name in ("sum", "prod"):
        got = value(lambda v, n=name: getattr(v, n)(acc_dtype="float64"), x)
        assert got.dtype == "float32"
    np.testing.assert_allclose(value(lambda v: eg.sum(v, acc_dtype="float64"), x), x.sum(dtype="float64"), rtol=3e-7)


def test_covariance():
    for rowvar in (True, False):
        np.testing.assert_allclose(value(partial(eg.cov, rowvar=rowvar), X[0]), np.cov(X[0], rowvar=rowvar), rtol=1e-12)


CLOSE = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-6}
ROWS_A27 = [([-inf, -inf], -inf, [nan, nan]), ([inf, 1], inf, [nan, nan]), ([3.0], 3.0, [1.0]), ([nan, 1], nan, [nan, nan]),
            ([-inf, 0.0], 0.0, [0, 1]), ([1000.0, 1000.0], 1000 + math.log(2), [0.5, 0.5]), ([], -inf, [])]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("row, total, soft", ROWS_A27, ids=str)
def test_a27_softmax_and_logsumexp(row, total, soft, dtype):
    array = np.array([row, row], dtype)
    np.testing.assert_allclose(value(lambda x: eg.logsumexp(x, axis=1), array), [total] * 2, rtol=CLOSE[dtype])
    np.testing.assert_allclose(value(eg.softmax, array), [soft] * 2)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(value(eg.log_softmax, array), np.log(np.array([soft] * 2, dtype)), rtol=CLOSE[dtype])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_a27_softmax_of_no_rows(shape):
    assert value(eg.softmax, np.zeros(shape, "float32")).shape == shape
    assert value(lambda x: eg.grad(eg.log_softmax(x).sum(), x), np.zeros(shape, "float32")).shape == shape


def test_a5_log_softmax_does_not_underflow():
    np.testing.assert_allclose(value(eg.log_softmax, np.array([0.0, -800.0, -1e-20])), [-np.log(2), -800 - np.log(2), -np.log(2)])


VECTORS = [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 2)), ((4, 2, 3), (3,)), ((3,), (4, 3, 2)), ((4, 2, 3), (3, 2)),
           ((0,), (0,)), ((2, 0), (0, 3)), ((1,), (1, 2))]


@pytest.mark.parametrize("dtype", ["float64", "int8", "int32", "bool"])
@pytest.mark.parametrize("left, right", VECTORS + [((4, 2, 3), (5, 3, 2))], ids=str)
def test_dot(left, right, dtype):
    a, b = (RNG.integers(-3, 4, s).astype(dtype) for s in (left, right))
    names = ["dot"] + ["matmul"] * ((left, right) in VECTORS)
    for name in names:
        got = value(getattr(eg, name), a, b)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, getattr(np, name)(a, b))


@pytest.mark.parametrize("name, left, right", [("outer", (3,), (2,)), ("outer", (2, 2), (3,)), ("vdot", (2, 3), (2, 3)), ("vdot", (6,),
    (2, 3)),
                                               ("dot", (), (3,)), ("dot", (2, 3), ()), ("outer", (0,), (2,))])
def test_products_of_elements(name, left, right):
    a, b = RNG.normal(size=left), RNG.normal(size=right)
    np.testing.assert_allclose(value(getattr(eg, name), a, b), getattr(np, name)(a, b), rtol=1e-12)


@pytest.mark.parametrize("left, right, axes", [
    ((2, 3, 4), (3, 4, 5), 2), ((2, 3), (4,), 0), ((2, 3), (3, 4), 1), ((2, 3, 4), (4, 3), ([1, 2], [1, 0])), ((2, 3), (2, 3), 2),
    ((2, 3, 4), (4, 2), (-1, 0)), ((2, 3), (3,), ([1], [0])), ((2, 0), (0, 3), 1)], ids=str)
def test_tensordot(left, right, axes):
    a, b = RNG.normal(size=left), RNG.normal(size=right)
    np.testing.assert_allclose(value(lambda x, y: eg.tensordot(x, y, axes), a, b), np.tensordot(a, b, axes), rtol=1e-12)
    assert slope_error(lambda x, y: eg.tensordot(x, y, axes) ** 2, a, b) < 1e-6


@pytest.mark.parametrize("left, right, spec", [((5, 2, 3), (5, 3, 4), "bij,bjk->bik"), ((5, 3), (5, 3), "bj,bj->b"), ((5, 2, 3),
    (5, 3), "bij,bj->bi"),
                                               ((5, 3), (5, 3, 2), "bj,bjk->bk"), ((5,), (5, 2), "b,bi->bi")])
def test_batched_dot(left, right, spec):
    a, b = RNG.normal(size=left), RNG.normal(size=right)
    np.testing.assert_allclose(value(eg.batched_dot, a, b), np.einsum(spec, a, b), rtol=1e-12)


def test_batched_tensordot():
    a, b = RNG.normal(size=(5, 2, 3, 4)), RNG.normal(size=(5, 4, 3, 6))
    np.testing.assert_allclose(value(lambda x, y: eg.batched_tensordot(x, y, [[3, 2], [1, 2]]), a, b), np.einsum("bijk,bkjm->bim", a, b))
    with pytest.raises(eg.ShapeError, match="batch"):
        eg.batched_tensordot(eg.matrix(), eg.matrix(), [[0], [1]])


def test_c4_vectors_of_different_lengths():
    x, y = eg.vectors("xy")
    with pytest.raises(eg.ShapeError, match="2 .* 3|3 .* 2"):
        eg.dot(eg.tensor(shape=(2,)), eg.tensor(shape=(3,)))
    f = eg.compile([x, y], eg.dot(x, y), device="numpy")
    assert f(np.ones(3, "float32"), np.ones(3, "float32")) == 3
    for left, right in ((1, 3), (3, 1), (2, 3)):
        with pytest.raises(eg.ShapeError, match="dot: the vector y"):
            f(np.ones(left, "float32"), np.ones(right, "float32"))


def test_matmul_refuses_scalars():
    with pytest.raises(eg.RankError, match="at least 1 axes"):
        eg.scalar("x") @ eg.vector("y")


P = np.array([0.1, 0.5, 0.9])
T = np.array([0, 1, 1])


def test_binary_crossentropies():
    want = -(T * np.log(P) + (1 - T) * np.log(1 - P))
    np.testing.assert_allclose(value(eg.binary_crossentropy, P, T), want)
    np.testing.assert_allclose(value(eg.sigmoid_binary_crossentropy, np.log(P / (1 - P)), T), want)


@pytest.mark.parametrize("x, t, want", [(800.0, 1, 0), (-800.0, 0, 0), (800.0, 0, 800), (-800.0, 1, 800),
    (30.0, 1, math.log1p(math.exp(-30)))])
def test_i8_sigmoid_crossentropy_at_extremes(x, t, want):
    got = value(eg.sigmoid_binary_crossentropy, np.array([x]), np.array([t]))
    np.testing.assert_allclose(got, [want], rtol=1e-12)
    slope = value(lambda a, b: eg.grad(eg.sigmoid_binary_crossentropy(a, b).sum(), a), np.array([x]), np.array([t]))
    np.testing.assert_allclose(slope, [1 / (1 + math.exp(-x)) - t] if x > -700 else [-t], atol=1e-15)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_crossentropies_of_labels_and_of_distributions(dtype):
    logits, labels = X[0], np.array([3, 0, 2], dtype)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    want = -np.log(p[np.arange(3), labels])
    onehot = np.eye(4)[labels]
    for target in (labels, onehot):
        np.testing.assert_allclose(value(eg.cross_entropy_with_logits, logits, target), want)
        np.testing.assert_allclose(value(eg.categorical_crossentropy, p, target), want)
    slope = value(lambda x, t: eg.grad(eg.cross_entropy_with_logits(x, t).sum(), x), logits, labels)
    np.testing.assert_allclose(slope, p - onehot, atol=1e-14)


@pytest.mark.parametrize("target, error", [(eg.vector("t"), eg.DTypeError), (eg.ltensor3("t"), eg.RankError),
    (eg.lscalar("t"), eg.RankError)])
def test_crossentropy_refuses_other_targets(target, error):
    with pytest.raises(error, match="cross_entropy_with_logits: .*test_functions.py"):
        try:
            eg.cross_entropy_with_logits(eg.matrix("x"), target)
        except error as e:
            raise error(str(e).replace("\n", " ")) from e


def test_label_out_of_range():
    with pytest.raises(eg.IndexFault):
        value(eg.cross_entropy_with_logits, X[0], np.array([0, 4, 1]))


Z = np.array([-800.0, -3.0, -1.0, -0.0, 0.0, 0.5, 1.7, 3.5, 6.0, 800.0, inf, -inf, nan])
SELU = 1.0507009873554805, 1.6732632423543772
ACTIVATIONS = [
    ("relu", lambda z: np.where(z <= 0, 0, z)), ("leaky_relu", lambda z: np.where(z > 0, z, 0.01 * z)),
    ("elu", lambda z: np.where(z > 0, z, np.expm1(z))),
    ("selu", lambda z: SELU[0] * np.where(z > 0, z, SELU[1] * np.expm1(z))), ("silu", lambda z: z / (1 + np.exp(-z))),
    ("softsign", lambda z: z / (1 + abs(z))), ("hard_sigmoid", lambda z: np.clip(0.2 * z + 0.5, 0, 1)),
    ("log_sigmoid", lambda z: -np.logaddexp(0, -z)),
    ("gelu", lambda z: np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in z]))]


@pytest.mark.parametrize("name, want", ACTIVATIONS, ids=lambda a: a if isinstance(a, str) else "")
def test_activations(name, want):
    with np.errstate(all="ignore"):
        expected = want(Z)
    np.testing.assert_allclose(value(getattr(eg, name), Z), expected, rtol=1e-10, atol=1e-300)
    with np.errstate(all="ignore"):
        slopes = value(lambda x: eg.grad(getattr(eg, name)(x).sum(), x), Z[:-3])
    assert np.isfinite(slopes).all()


def test_ultra_fast_sigmoid_is_near():
    z = np.linspace(-9, 9, 400)
    assert abs(value(eg.ultra_fast_sigmoid, z) - 1 / (1 + np.exp(-z))).max() < 0.05


def test_mean_squared_error():
    np.testing.assert_allclose(value(eg.mse, P, T), np.mean((P - T) ** 2))


PAIRS = [("isclose", np.array([1.0, 1.0, inf, inf, nan, 0.0]), np.array([1.0 + 1e-6, 1.1, inf, -inf, nan, 1e-9])),
         ("logical_and", Z, Z[::-1]), ("logical_or", Z, Z[::-1]), ("logical_xor", Z, Z[::-1]), ("floor_divide", X, X[::-1]),
         ("remainder", X, X[::-1]),
         ("bitwise_and", np.arange(6), np.arange(6)[::-1]), ("bitwise_xor", np.arange(6), np.arange(6)[::-1]), ("subtract", X, X[::-1]),
         ("multiply", X, X[::-1]), ("divide", X, X[::-1]), ("less", X, X[::-1]), ("greater_equal", X, X), ("not_equal", Z, Z),
         ("equal", Z, Z),
         ("atan2", X, X[::-1]), ("maximum", Z, Z[::-1]), ("allclose", X, X + 1e-9)]


@pytest.mark.parametrize("name, a, b", PAIRS, ids=lambda a: a if isinstance(a, str) else "")
def test_names_of_numpy_with_two_arguments(name, a, b):
    with np.errstate(all="ignore"):
        want = getattr(np, name, np.arctan2)(a, b)
    np.testing.assert_allclose(value(getattr(eg, name), a, b), want, rtol=1e-13)


@pytest.mark.parametrize("name", ["negative", "positive", "absolute", "square", "reciprocal", "nan_to_num", "logical_not", "rint",
    "degrees", "sign"])
def test_names_of_numpy_with_one_argument(name):
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(value(getattr(eg, name), Z), getattr(np, name)(Z), rtol=1e-14)


def test_small_sugar():
    z, ints = Z[:-3], np.array([-7, -6, 0, 5, 6])
    np.testing.assert_array_equal(value(eg.round, np.array([0.5, 1.5, -2.5])), [0, 2, -2])
    np.testing.assert_array_equal(value(lambda x: eg.round(x, "half_away_from_zero"), np.array([0.5, 1.5, -2.5])), [1, 2, -3])
    assert value(eg.iround, z).dtype == "int64"
    np.testing.assert_array_equal(value(lambda x: eg.ceil_intdiv(x, 3), ints), [-2, -2, 0, 2, 2])
    np.testing.assert_array_equal(value(lambda x: eg.ceil_intdiv(x, 3), ints[2:].astype("uint8")), [0, 2, 2])
    np.testing.assert_array_equal(value(lambda x: divmod(x, 4)[1], ints), np.mod(ints, 4))
    np.testing.assert_array_equal(value(lambda x: eg.clip(x, 0, None), Z), np.clip(Z, 0, None))
    np.testing.assert_array_equal(value(lambda x: x.clip(max=2), Z), np.clip(Z, None, 2))
    np.testing.assert_array_equal(value(lambda x: eg.largest(x, -x, 1), z), np.maximum(abs(z), 1))
    np.testing.assert_array_equal(value(lambda x: eg.smallest(x, -x, 1), z), np.minimum(-abs(z), 1))
    np.testing.assert_array_equal(value(lambda x: eg.max_and_argmax(x, axis=1)[1], X), X.argmax(1))
    with pytest.raises(eg.UseError, match="half_to_even"):
        eg.round(eg.vector(), 2)




def test_every_public_name_is_there_and_is_listed():
    shown = {n for n, v in vars(eg).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)}
    plumbing = {"Any", "TYPE_CHECKING", "annotations", "OPERATORS", "ROWS", "clone_symbol", "constructors"}
    assert shown - plumbing <= set(eg.__all__)
    assert all(hasattr(eg, n) for n in eg.__all__) and len(set(eg.__all__)) == len(eg.__all__)


def test_every_operator_and_method_is_wired():
    text = inspect.getsource(node)
    wanted = set(re.findall(r'_(?:method|reflected)\("(\w+)"\)', text)) | set(re.findall(r'OPERATORS\["(\w+)"\]', text))
    assert len(wanted) > 50
    assert wanted <= set(node.OPERATORS)


def test_import_loads_neither_device_nor_picture_packages():
    code = "import sys, exprgraph; print(sorted(m for m in ('pyopencl', 'sympy', 'networkx', 'runtime', 'codegen') if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("make, error, message", [
    (lambda: eg.sum(eg.vector(), axes=0), eg.CallError, r"sum\(\) got an unexpected keyword argument 'axes'"),
    (lambda: eg.argmax(), eg.CallError, r"argmax\(\) missing 1 required positional argument"),
    (lambda: eg.max(eg.vector(), 0.5), eg.CallError, "'float' object cannot be interpreted as an integer"),
    (lambda: eg.tensordot(eg.matrix(), eg.vector(), 2), eg.ShapeError, "axes=2 does not fit tensors of 2 and 1 axes"),
    (lambda: eg.tensordot(eg.matrix(), eg.matrix(), ([0, 1], [0])), eg.ShapeError, "2 axes of the left, 1 of the right"),
    (lambda: eg.tensordot(eg.tensor(shape=(2, 3)), eg.tensor(shape=(2, 3)), 1), eg.ShapeError, "axis 1 of the left has 3 elements"),
    (lambda: eg.norm(eg.vector(), "nuc"), eg.UseError, "ord must be a number"), (lambda: eg.largest(), eg.CallError, "at least one"),
    (lambda: eg.cov(eg.tensor3()), eg.RankError, "cov takes a matrix"),
    (lambda: eg.binary_crossentropy(eg.scalar(), eg.vector()), eg.RankError, "the target has 1 axes, the output only 0")])
def test_messages_name_the_line(make, error, message):
    with pytest.raises(error, match=message) as found:
        make()
    assert re.search(r"\n  at .*test_functions.py:\d+$", str(found.value))
