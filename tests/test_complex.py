"""Complex tensors: every row that takes them, folds, movement, memory, updates, gradients and refusals, on NumPy and on devices."""
from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.close import WIDER, close
from exprgraph.dtypes import ALL, COMPLEX, part
from exprgraph.node import MOVING, Op
from exprgraph.ops.table import ROWS
from exprgraph.reference import evaluate

WAYS = [{"device": "numpy"}, {"device": "pocl", "schedule": "cpu"}, {"device": "pocl", "schedule": "gpu"}]
TAKING = [r for r in ROWS.values() if r.kind == "elementwise" and r.pair is not None and r.name != "assert"]
REAL_ONLY = ("complex", "complex_from_polar")
NOT_ANALYTIC = ("abs", "sign", "conj", "real", "imag", "angle")
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda w: " ".join(w.values()))


def drawn(*shape: int, dtype: str = "complex64", seed: int = 0, scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) * scale).astype(dtype)


def points(dtype: str, seed: int) -> np.ndarray:
    """Numbers on the axes, at branch cuts from both sides, small and large ones, and random ones."""
    axis = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-3, 1e-7]
    grid = [complex(a, b) for a in axis for b in axis]
    random = [drawn(60, dtype="complex128", seed=seed), drawn(40, dtype="complex128", seed=seed, scale=4)]
    return np.concatenate([np.array(grid), *random]).astype(dtype)


def argument(name: str, position: int, dtype: str) -> tuple[str, np.ndarray]:
    values = np.roll(points(dtype, position), 17 * position)
    if name == "switch" and position == 0:
        return "bool", values.real > 0
    return (part(dtype), values.real.copy()) if name in REAL_ONLY else (dtype, values)


def agree(got: np.ndarray, own: np.ndarray, exact: np.ndarray, ulps: float) -> None:
    """Within some units in the last place of the absolute value, which the parts of a complex number share; NaN and infinities where
    NumPy has them in one of the parts."""
    assert got.dtype == own.dtype and got.shape == own.shape
    if got.dtype == bool:
        return np.testing.assert_array_equal(got, own)
    with np.errstate(all="ignore"):
        wide = exact.astype("clongdouble" if got.dtype.kind == "c" else "longdouble")
        unit = np.spacing(np.maximum(np.abs(own), np.finfo(own.dtype).tiny))
        near = np.abs(got - wide) <= np.maximum(ulps * unit, 4 * np.abs(own - wide))
        near |= ~np.isfinite(got) & ~np.isfinite(own)
    bad = np.flatnonzero(~near)
    assert not bad.size, f"{bad.size} differ, first at {bad[0]}: {got[bad[0]]!r} for {own[bad[0]]!r}"
    return None


def case(row: Op, dtype: str) -> tuple[list[eg.Symbol], list[np.ndarray], eg.Symbol]:
    """Symbols, their values, and the row of them."""
    given = [argument(row.name, k, dtype) for k in range(len(row.domain))]
    symbols = [eg.vector(f"x{k}", dtype=d) for k, (d, _) in enumerate(given)]
    return symbols, [v for _, v in given], row(*symbols, dtype="complex128") if row.name == "cast" else row(*symbols)


@cache
def on_devices(dtype: str, way: int) -> dict[str, np.ndarray]:
    """Every row at its points, by one function: a program of many kernels takes less to build than many programs.  On a GPU, whose kernels
    call the same functions, every second row in one dtype and the others in the other."""
    rows = TAKING[COMPLEX.index(dtype)::2] if way == 2 else TAKING
    cases = [case(row, dtype) for row in rows]
    f = eg.compile([s for symbols, _, _ in cases for s in symbols], [out for _, _, out in cases], on_unused_input="ignore",
                   optimizer="none", **WAYS[way])
    return dict(zip((r.name for r in rows), f(*[v for _, values, _ in cases for v in values]), strict=True))


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("row", TAKING, ids=lambda r: r.name)
def test_value_of_every_row(row, dtype):
    symbols, values, out = case(row, dtype)
    leaves = {s.node: v for s, v in zip(symbols, values)}
    own, = evaluate([out], leaves)
    exact, = evaluate([out], leaves, WIDER)
    results = [found for way in (1, 2) if (found := on_devices(dtype, way).get(row.name)) is not None]
    assert len(results) == 1 + (TAKING.index(row) % 2 == COMPLEX.index(dtype))
    for found in results:
        agree(found, own, exact, 8 + 4 * row.ulp)


SPECIAL = [complex(a, b) for a in (0.0, -0.0, 1.5, np.inf, -np.inf, np.nan) for b in (0.0, -0.0, -2.0, np.inf, -np.inf, np.nan)]
EXACT = {"add": 2, "sub": 2, "neg": 1, "conj": 1, "real": 1, "imag": 1, "abs": 1, "eq": 2, "neq": 2, "isnan": 1, "isinf": 1, "isfinite": 1,
         "identity": 1, "mul": 2}


@every_way
@pytest.mark.parametrize("name", EXACT)
def test_A29_special_values(name, way):
    """NaN, infinities and both zeros in either part, bit for bit where C's arithmetic and NumPy's are the same."""
    pairs = [np.array(m, "complex64").ravel() for m in np.meshgrid(SPECIAL, SPECIAL)][:EXACT[name]]
    symbols = [eg.cvector() for _ in pairs]
    out = ROWS[name](*symbols)
    with np.errstate(all="ignore"):
        got, want = eg.compile(symbols, out, **way)(*pairs), ROWS[name].numpy(*pairs)
    for f in (np.real, np.imag):
        np.testing.assert_array_equal(f(got), f(want))


def test_every_row_that_takes_complex_numbers_is_listed_where_one_does_not():
    """A29: max, erf, floor, bits and the like name what would do."""
    z = eg.cmatrix("z")
    for call in (lambda: z.max(), lambda: eg.erf(z), lambda: eg.floor(z), lambda: z & 1, lambda: z < 1, lambda: eg.argmax(z), lambda: z % 2,
                 lambda: eg.cummax(z, axis=0), lambda: eg.relu(z), lambda: eg.maximum(z, 1)):
        with pytest.raises(eg.DTypeError, match="complex64"):
            call()
    with pytest.raises(eg.DTypeError, match=r"erf does not take complex64; rows that take it are abs, add, .*exp.*\n  at .*test_complex"):
        eg.erf(z)
    refused = {r.name for r in ROWS.values() if r.pair is None and r.kind not in (*MOVING, "source")}
    assert {"max", "erf", "floor", "lt"} <= refused and not refused & {"add", "sum", "matmul", "cumprod"}


GRAPHS = {
    "sum": lambda z: z.sum(0), "sum of all": lambda z: z.sum(), "prod": lambda z: z.prod(1), "mean": lambda z: z.mean(1),
    "var": lambda z: z.var(1),
    "std": lambda z: z.std(), "cumsum": lambda z: eg.cumsum(z, 1), "cumprod": lambda z: eg.cumprod(z, 1),
    "any": lambda z: eg.any(z, axis=0),
    "all": lambda z: eg.all(z - z[0], axis=1), "product": lambda z: z @ z.T, "by a vector": lambda z: z @ z[0],
    "real product": lambda z: z @ z.T.real,
    "dot of vectors": lambda z: eg.dot(z[0], z[1]), "vdot": lambda z: eg.vdot(z, z * 1j),
    "tensordot": lambda z: eg.tensordot(z, z, axes=((0, 1), (0, 1))),
    "outer": lambda z: eg.outer(z[0], z[1]), "views": lambda z: z.T[::2, ::-1], "reshape": lambda z: z.reshape((3, -1)),
    "norm": lambda z: z.norm(),
    "joined": lambda z: eg.concatenate([z, z.real], axis=1), "stack": lambda z: eg.stack([z, z * 2]),
    "gather": lambda z: z[np.array([2, 0, 2])],
    "along": lambda z: eg.take_along_axis(z, np.argsort(np.arange(30).reshape(6, 5) % 4, axis=1), axis=1),
    "choice": lambda z: eg.where(z.real > 0, z, 1j),
    "places": lambda z: eg.nonzero(z - z[0])[0],
    "compressed": lambda z: eg.exp(eg.compress(z[:, 0].real > 0, z, axis=0)),
    "condition": lambda z: eg.where(z, 1, 2), "placed": lambda z: eg.grad(abs(z[1:, ::2]).sum(), z),
    "scattered": lambda z: eg.grad(abs(z[np.array([1, 1, 0])]).sum(), z),
    "constant": lambda z: z * np.arange(5) * 1j, "polar": lambda z: eg.complex_from_polar(abs(z), eg.angle(z)),
    "parts": lambda z: eg.complex(z.imag, z.real),
    "spread": lambda z: eg.complex(z.real, z.imag[0]), "wide": lambda z: eg.cast(z, "complex128"),
    "iota": lambda z: z + eg.arange(5, dtype="complex64"),
    "whole power": lambda z: z ** 3 + z ** -1, "power": lambda z: z ** (0.5 + 0.5j), "close": lambda z: eg.isclose(z, z * (1 + 1e-9)),
    "leaf": lambda z: z,
    "integers": lambda z: z * eg.arange(5), "softmax": lambda z: eg.exp(z) / abs(eg.exp(z)).sum(1, keepdims=True),
    "numbers": lambda z: eg.nan_to_num(z / 0)}


@pytest.mark.parametrize("name, way", [(n, w) for k, w in enumerate(WAYS) for n in [*GRAPHS][::1 + k // 2]],
                         ids=lambda one: one if isinstance(one, str) else " ".join(one.values()))
def test_graphs(name, way):
    """C6: arrays in C order, Fortran order, and strided and turned views."""
    z = eg.cmatrix("z")
    out = GRAPHS[name](z)
    f = eg.compile([z], out, **way)
    for array in (drawn(6, 5), np.asfortranarray(drawn(6, 5)), drawn(12, 10)[::2, ::2], drawn(6, 5)[::-1, ::-1], drawn(5, 6).T):
        close(f(array), out, {z.node: array})


@every_way
def test_C6_views_of_parts_and_other_byte_orders(way):
    """x.real of a complex array is a strided real argument; misaligned and foreign-endian complex arrays are copied."""
    x, z = eg.vector("x"), eg.cvector("z")
    f, g = eg.compile([x], x * 2, **way), eg.compile([z], z * 2, **way)
    array = drawn(7)
    record = np.zeros(7, np.dtype([("flag", "i1"), ("value", "c8")], align=False))
    record["value"] = array
    for _ in range(3):
        np.testing.assert_array_equal(f(array.real), array.real * 2)
        np.testing.assert_array_equal(f(array[::2].imag), array[::2].imag * 2)
        for other in (array.astype(">c8"), record["value"], np.broadcast_to(array[:1], (7,)), array[::-2]):
            np.testing.assert_array_equal(g(other), other.astype("complex64") * 2)


@every_way
@pytest.mark.parametrize("shape", [(), (0,), (1,), (0, 3), (2, 0)], ids=str)
def test_without_elements_and_without_axes(shape, way):
    z = eg.tensor("z", "complex64", (None,) * len(shape))
    f = eg.compile([z], [z * 2j, z.sum(), z.prod(), z], **way)
    for _ in range(3):
        double, total, product, same = f(np.ones(shape, "complex64"))
        assert double.shape == same.shape == shape and {double.dtype, total.dtype, same.dtype} == {np.dtype("complex64")}
        assert (double == 2j).all() and total == np.prod(shape) and product == 1 and double.flags.writeable


@every_way
def test_calls_of_changing_sizes_and_0d_arguments(way):
    z, s = eg.cvector("z"), eg.cscalar("s")
    f = eg.compile([z, s], eg.exp(z * s), **way)
    for n in (3, 5, 5, 1, 0, 3):
        for factor in (1j, np.complex64(1j), np.array(1j, "complex64"), 2, 0.5, np.float32(2)):
            np.testing.assert_allclose(f(drawn(n), factor), np.exp(drawn(n) * factor), rtol=1e-5)


@every_way
def test_updates_of_shared_complex_variables(way):
    """Values are complex arrays on the host whatever the device keeps, and functions of either kind see each other's updates."""
    start = drawn(4)
    w, x = eg.shared(start, name="w"), eg.cvector("x")
    step = eg.compile([x], abs(w).sum(), updates={w: w * x}, **way)
    other = eg.compile([], w * 1, device="numpy")
    for n in range(1, 4):
        step(np.full(4, 1j, "complex64"))
        assert w.get_value().dtype == "complex64"
        np.testing.assert_allclose(w.get_value(), start * 1j ** n, rtol=1e-6)
        np.testing.assert_allclose(other(), start * 1j ** n, rtol=1e-6)
    w.set_value(np.ones(6, "complex64"))
    assert step(np.ones(6, "complex64")) == 6
    with pytest.raises(eg.DTypeError, match="complex"):
        eg.compile([], w.sum(), updates={eg.shared(1.0): 1j})


POLE = (0.4, 1.6)


def slopes(f, z: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """dC/dx + i dC/dy of a real cost by central differences."""
    found = np.zeros(z.shape, complex)
    for i in np.ndindex(z.shape):
        for unit in (1, 1j):
            move = np.zeros(z.shape, complex)
            move[i] = unit * step
            found[i] += unit * (f(z + move) - f(z - move)) / (2 * step)
    return found


COSTS = {
    **{name: (lambda z, r=ROWS[name]: r(z)) for name in (
        "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt", "sqr", "abs", "sign", "conj", "real", "imag", "angle",
        "reciprocal", "log1p", "expm1", "neg", "identity", "rsqrt", "exp2", "log2", "log10")},
    "mul": lambda z: z * eg.exp(z), "div": lambda z: z / (z * z + 3), "pow": lambda z: z ** 2.5, "pow of it": lambda z: (1 + 2j) ** z,
    "cube": lambda z: z ** 3,
    "complex power": lambda z: z ** z, "parts": lambda z: eg.complex(z.real * z.imag, z.imag),
    "polar": lambda z: eg.complex_from_polar(z.real ** 2, z.imag),
    "prod": lambda z: z.prod(0), "cumprod": lambda z: eg.cumprod(z, 0), "cumsum": lambda z: eg.cumsum(z, 1) * z,
    "product": lambda z: z @ z.T * z[0, 0],
    "switch": lambda z: eg.where(z.real > 0.9, z * z, 1j * z), "gather": lambda z: z[np.array([1, 0, 1])] ** 2,
    "mean": lambda z: z.mean(0) ** 2,
    "var": lambda z: z.var(1), "vdot": lambda z: eg.vdot(z, z * z), "norm": lambda z: z.norm(), "real factor": lambda z: z.real * z,
    "wide": lambda z: eg.cast(z.real, "complex128") * z}


@pytest.mark.parametrize("name", COSTS)
def test_gradients_by_differences_of_both_parts(name):
    """The conjugate convention: the gradient is dC/dx + i dC/dy, for functions that are analytic and for those that are not."""
    z = eg.zmatrix("z")
    value = COSTS[name](z)
    weights = drawn(2, 3, dtype="complex128", seed=9)
    weighted = value * weights if value.ndim == 2 and name not in ("product", "gather") else value * (1 - 2j)
    out = eg.real(weighted).sum()
    rng = np.random.default_rng(3)
    point = rng.uniform(*POLE, (2, 3)) + 1j * rng.uniform(*POLE, (2, 3))
    cost = eg.compile([z], out, device="numpy")
    want = slopes(lambda p: float(cost(p)), point)
    for way in WAYS[:2]:
        np.testing.assert_allclose(eg.compile([z], eg.grad(out, z), **way)(point), want, rtol=1e-5, atol=1e-7)


def test_second_gradient_by_differences():
    z = eg.zvector("z")
    cost = (abs(eg.sin(z) * z) ** 2).sum()
    g = eg.grad(cost, z)
    again = (g.real ** 2).sum() + (g.imag * z.real).sum()
    f = eg.compile([z], again, device="numpy")
    point = drawn(3, dtype="complex128")
    np.testing.assert_allclose(eg.compile([z], eg.grad(again, z), device="numpy")(point), slopes(lambda p: float(f(p)), point), rtol=1e-5)


@every_way
def test_a_step_against_the_gradient_descends(way):
    """Least squares with complex unknowns, by `w - lr * grad`."""
    a, b = drawn(20, 4), drawn(20)
    w = eg.shared(np.zeros(4, "complex64"), name="w")
    cost = (abs(eg.constant(a) @ w - b) ** 2).mean()
    step = eg.compile([], cost, updates={w: w - 0.2 * eg.grad(cost, w)}, **way)
    costs = [float(step()) for _ in range(120)]
    assert all(later <= earlier + 1e-6 for earlier, later in zip(costs, costs[1:]))
    np.testing.assert_allclose(w.get_value(), np.linalg.lstsq(a, b, rcond=None)[0], atol=2e-3)


def test_gradients_of_real_symbols_in_complex_costs_are_real():
    x, z = eg.vector("x"), eg.cvector("z")
    gx, gz = eg.grad(abs(eg.exp(x * z)).sum(), [x, z])
    assert (gx.dtype, gz.dtype) == ("float32", "complex64")
    with pytest.raises(eg.GradientError, match="complex64; a gradient needs a real one"):
        eg.grad(z.sum(), z)
    assert float(abs(eg.compile([z], eg.grad(abs(z).sum(), z), device="pocl")(np.zeros(2, "complex64"))).sum()) == 0


@every_way
@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", COMPLEX)
def test_A21_casts_to_complex(source, target, way):
    x = eg.vector(dtype=source)
    values = np.array([0, 1, 100]).astype(source)
    got = eg.compile([x], eg.cast(x, target), **way)(values)
    assert got.dtype == target
    np.testing.assert_array_equal(got, values.astype(target))


@pytest.mark.parametrize("target", [d for d in ALL if d not in COMPLEX])
def test_casts_of_complex_to_real_are_refused(target):
    for source in COMPLEX:
        with pytest.raises(eg.DTypeError, match=r"write real\(x\), imag\(x\), abs\(x\) or angle\(x\)\n  at .*test_complex"):
            eg.cast(eg.vector(dtype=source), target)


def test_C16_what_complex_symbols_take():
    z, x = eg.cvector("z"), eg.vector("x")
    f = eg.compile([z], z * 1, device="numpy")
    for value in ([1, 2j], [1.5, 2], np.array([1, 2], "float32"), np.array([1, 2], "int16"), np.array([True, False])):
        np.testing.assert_array_equal(f(value), np.asarray(value, "complex64"))
    for wrong in (np.ones(2, "complex128"), np.ones(2, "float64"), np.ones(2, "int64")):
        with pytest.raises(eg.CallError, match="complex64.*cast it with"):
            f(wrong)
    for refused in (np.ones(2, complex), [1j, 2], 1j):
        with pytest.raises(eg.CallError, match="complex|axis"):
            eg.compile([x], x * 1, device="numpy", allow_input_downcast=True)(refused)


def test_numpy_calls_and_methods():
    z = eg.cvector("z")
    for symbol in (np.real(z), z.real, np.imag(z), np.angle(z), np.abs(z), abs(z)):
        assert symbol.dtype == "float32"
    for symbol in (np.conj(z), z.conj(), z.conjugate(), np.exp(z), np.sqrt(z), 1j * z, z + np.complex64(1)):
        assert symbol.dtype == "complex64"
    x = eg.ivector("x")
    assert x.real is x and x.conj() is x and x.imag.dtype == "int32" and eg.angle(x).dtype == "float32"
    with pytest.raises(eg.DTypeError, match="complex takes two real tensors, not complex64"):
        eg.complex(z, 1)


def test_faults_and_shapes_name_the_users_line():
    z, i = eg.cvector("z"), eg.lvector("i")
    for way in WAYS[1:]:
        f = eg.compile([z, i], z[i] * 2, **way)
        with pytest.raises(IndexError, match=r"index 9 is out of bounds for axis 0 with size 3\n  at .*test_complex"):
            f(drawn(3), np.array([0, 9]))
        with pytest.raises(eg.ShapeError, match="test_complex"):
            eg.compile([z], z + z[:2].sum() + eg.reshape(z, (2, 2))[0, 0], **way)(drawn(3))


def test_what_a_graph_without_complex_numbers_costs_is_one_look():
    from exprgraph.complex_pairs import parted
    from exprgraph.program import Program
    x = eg.vector("x")
    assert parted(Program(eg.Graph((x,), (x * 2,)), (x.node,), 1, {})) is None


def test_devices_with_memory_of_their_own(monkeypatch):
    """New values of shared variables stay on the device as floats, and are complex arrays for whoever asks."""
    from tests.hand_plans import separate
    monkeypatch.setattr("runtime.function.choose", lambda spec: separate())
    w, z = eg.shared(drawn(4), name="w"), eg.cvector("z")
    start = w.get_value()
    f = eg.compile([z], [w + z, z.sum()], updates={w: w * z}, device="pocl", schedule="gpu")
    for n in range(3):
        together, total = f(np.full(8, 1j, "complex64")[::2])
        np.testing.assert_allclose(together, start * 1j ** n + 1j, rtol=1e-6)
        assert total == 4j and not isinstance(w.cell.version, np.ndarray)
    np.testing.assert_allclose(w.get_value(), start * 1j ** 3, rtol=1e-6)
    np.testing.assert_allclose(eg.compile([], w * 1, device="numpy")(), start * 1j ** 3, rtol=1e-6)


def test_parts_are_stored_side_by_side_without_a_loop():
    z = eg.cmatrix("z")
    text = eg.compile([z], z * (1 + 2j), device="pocl").source()
    assert text.count("__kernel") == 1 and "< 2;" not in text


def test_scalar_constants_keep_their_precision():
    z = eg.tensor("z", "complex128", (None,))
    array = np.array([1 + 2j, 3 - 1j])
    f = eg.compile([z], [z / (1 / 3), z * eg.constant(0.1 + 0.7j, dtype="complex128")], device="pocl")
    for got, want in zip(f(array), (array / (1 / 3), array * (0.1 + 0.7j))):
        np.testing.assert_allclose(got, want, rtol=1e-15)
