"""float16 is stored as it is and computed with in float32: conversions, special values, folds, memory, updates, gradients."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.close import close
from exprgraph.dtypes import REAL
from tests.plan_runner import CPU, GPU, interpret

EVERY = np.arange(65536, dtype="uint32").astype("uint16").view("float16")
WAYS = [{"device": "numpy"}, {"device": "pocl", "schedule": "cpu"}, {"device": "pocl", "schedule": "gpu"}]


def ids(way: dict) -> str:
    return " ".join(way.values())


def halves(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float16")


def borders() -> np.ndarray:
    """float64s in the middle between neighbouring halves, and just beside it: where rounding is decided."""
    finite = np.sort(np.abs(EVERY[np.isfinite(EVERY)].astype("float64")))
    middle = np.concatenate([(finite[1:] + finite[:-1]) / 2, [65519.99, 65520, 65536, 1e30, 1e300, 5e-324, 1e-45, np.inf]])
    near = np.concatenate([middle, np.nextafter(middle, 0), np.nextafter(middle, np.inf)])
    return np.concatenate([near, -near])


@pytest.mark.parametrize("way", WAYS[1:], ids=ids)
def test_A20_A21_every_half_and_every_border(way):
    """Both directions, bit for bit: subnormals, overflow to infinity from 65520 on, -0.0, halfway to even, no double rounding."""
    x, y, z = eg.vector(dtype="float16"), eg.vector(dtype="float32"), eg.vector(dtype="float64")
    f = eg.compile([x, y, z], [eg.cast(x, "float32"), eg.cast(x, "float64"), eg.cast(y, "float16"), eg.cast(z, "float16")], **way)
    with np.errstate(all="ignore"):
        wide = borders()
        wanted = [EVERY.astype("float32"), EVERY.astype("float64"), wide.astype("float32").astype("float16"), wide.astype("float16")]
        for got, want in zip(f(EVERY, wide.astype("float32"), wide), wanted):
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)
            assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


@pytest.mark.parametrize("way", WAYS, ids=ids)
@pytest.mark.parametrize("dtype", REAL)
def test_A20_A21_casts_to_and_from_every_dtype(dtype, way):
    """As NumPy casts, with floats out of an integer's range as on x86."""
    x = eg.vector(dtype=dtype)
    special = [0, 1, 255, 256, 2047, 2049, 2051, 65503, 65519, 65520, 2**24 + 1, 2**31, 2**53 + 1, 2**63]
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    values = np.array([v for v in special if info is None or v <= info.max] + ([-3, int(info.min)] if info and info.min else []))
    with np.errstate(all="ignore"):
        values = values.astype(dtype)
        near = EVERY[np.isfinite(EVERY) & ((0 if dtype.startswith("u") else -120) <= EVERY) & (EVERY < 120)]
        to, back = eg.compile([x], eg.cast(x, "float16"), **way), eg.vector(dtype="float16")
        np.testing.assert_array_equal(to(values), values.astype("float16"))
        np.testing.assert_array_equal(eg.compile([back], eg.cast(back, dtype), **way)(near), near.astype(dtype))


@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_folds_have_the_range_and_precision_of_float32(way):
    x = eg.matrix("x", dtype="float16")
    array = np.full((3, 4096), 40.1, "float16")
    f = eg.compile([x], [x.mean(1), x.var(1), x.std(0), (x / 64).sum(1), eg.cumsum(x / 4096, 1)[:, -1], eg.dot(x / 64, x.T / 64)], **way)
    exact = array.astype("float64")
    wanted = [exact.mean(1), exact.var(1), exact.std(0), (exact / 64).sum(1), (exact / 4096).sum(1), exact @ exact.T / 4096]
    for got, want in zip(f(array), wanted):
        assert got.dtype == "float16"
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


GRAPHS = {
    "softmax": lambda x: eg.softmax(x), "argmax": lambda x: eg.argmax(x, axis=1), "max": lambda x: x.max(0),
    "any": lambda x: eg.any(x, axis=0), "iota": lambda x: x + eg.arange(5, dtype="float16"),
    "prod": lambda x: x.prod(0), "views": lambda x: x.T[::2, ::-1], "joined": lambda x: eg.concatenate([x, x * 2], axis=1),
    "placed": lambda x: eg.grad((x[1:] ** 3).sum(), x), "gather": lambda x: x[np.array([2, 0, 2])], "sums": lambda x: eg.cumsum(x, 0),
    "scatter": lambda x: eg.grad((x[np.array([1, 1, 0])] ** 2).sum(), x),
    "sorted": lambda x: eg.sort(x, axis=0), "order": lambda x: eg.argsort(x, axis=1),
    "choice": lambda x: eg.where(x > 0, x, eg.exp(x)),
    "integers": lambda x: x + np.arange(5), "product": lambda x: x @ x.T, "by a vector": lambda x: x @ x[0],
    "specials": lambda x: eg.switch(x > 0, x * 60000, -x * 0),
    "rounded": lambda x: eg.cast(eg.cast(x.astype("float32") * 1.001, "float16"), "float32")}


@pytest.mark.parametrize("way", WAYS, ids=ids)
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name, way):
    x = eg.matrix("x", dtype="float16")
    out = GRAPHS[name](x)
    f = eg.compile([x], out, **way)
    for array in (halves(6, 5), np.asfortranarray(halves(6, 5)), halves(12, 10)[::2, ::2]):
        close(f(array), out, {x.node: array})


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_in_the_interpreter(name, target):
    x = eg.matrix("x", dtype="float16")
    out = GRAPHS[name](x)
    close(interpret(eg.Graph((x,), (out,)), [x.node], [halves(6, 5)], target), [out], {x.node: halves(6, 5)})


@pytest.mark.parametrize("way", WAYS, ids=ids)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (0, 3)], ids=str)
def test_without_elements_and_without_axes(shape, way):
    x = eg.tensor("x", "float16", (None,) * len(shape))
    f = eg.compile([x], [x * 2, x.sum()], **way)
    for _ in range(3):
        double, total = f(np.ones(shape, "float16"))
        assert double.shape == shape and double.dtype == total.dtype == "float16" and (double == 2).all() and total == np.prod(shape)


@pytest.mark.parametrize("way", WAYS, ids=ids)
def test_updates_of_a_shared_half(way):
    w, x = eg.shared(halves(5), name="w"), eg.vector("x", dtype="float16")
    start = w.get_value()
    step = eg.compile([x], (w * x).sum(), updates={w: w - 0.5 * eg.grad((w * x).sum(), w)}, **way)
    for _ in range(4):
        step(np.ones(5, "float16"))
    assert w.get_value().dtype == "float16"
    np.testing.assert_allclose(w.get_value(), start - 2, rtol=2e-3, atol=2e-3)


def test_C16_what_a_half_takes():
    """Bytes and Python numbers, no wider floats without leave."""
    f = eg.compile([x := eg.vector("x", dtype="float16")], x + 1, device="numpy")
    np.testing.assert_array_equal(f(np.array([1, 2], "int8")), [2, 3])
    np.testing.assert_array_equal(f([1.5, 2]), [2.5, 3])
    for wrong in (np.ones(2, "float32"), np.ones(2, "int16")):
        with pytest.raises(eg.CallError, match="float16.*cast it with"):
            f(wrong)
    g = eg.compile([x], x + 1, device="numpy", allow_input_downcast=True)
    np.testing.assert_array_equal(g(np.array([1e6, 1.0])), [np.inf, 2])


def test_constants_are_folded_and_kept():
    x = eg.vector("x", dtype="float16")
    out = x * eg.constant(np.array([1e-7, 65504, np.nan], "float16")) + np.float16(0.1)
    array = np.array([1, 2, 3], "float16")
    for way in WAYS:
        close(eg.compile([x], out, **way)(array), out, {x.node: array})


def test_the_short_way_of_calls_takes_halves():
    """Calls that are alike go by the function that was written for them, native where kernels can be called natively."""
    x, s = eg.vector("x", dtype="float16"), eg.scalar("s", dtype="float16")
    f = eg.compile([x, s], x * s, device="pocl")
    array = halves(7)
    for factor in (np.float16(2), np.array(2, "float16"), 2, 2.0):
        for _ in range(3):
            np.testing.assert_array_equal(f(array, factor), array * 2)
    for view in (halves(14)[::2], halves(7)[::-1], halves(7).astype(">f2")):
        for _ in range(3):
            np.testing.assert_array_equal(f(view, 2), (view * 2).astype("float16"))
