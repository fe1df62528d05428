"""pad against NumPy: every mode, widths beyond the array, widths of the graph, keywords that differ by axis and side."""
import re

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.reference import evaluate
from tests.function_table import Row, agree, check_slope, check_values

RNG = np.random.default_rng(5)
A, B = RNG.normal(size=(3, 4)), RNG.integers(-9, 9, (2, 3))
MODES = [
    ("constant", {}), ("constant", {"constant_values": 2.0}), ("constant", {"constant_values": ((1, 2), (3, 4))}), ("edge", {}),
    ("reflect", {}), ("reflect", {"reflect_type": "odd"}), ("symmetric", {}), ("symmetric", {"reflect_type": "odd"}), ("wrap", {}),
    ("linear_ramp", {}), ("linear_ramp", {"end_values": (5, -4)}), ("maximum", {}), ("minimum", {"stat_length": 2}), ("mean", {}),
    ("median", {}), ("median", {"stat_length": 3}),
    ("mean", {"stat_length": ((1, 2), (3, 100))}), ("maximum", {"stat_length": ((2, 1),)})]
WIDTHS = [1, (2, 1), ((0, 2), (3, 0)), ((1,),), ((7, 12), (9, 11)), 0]
ROWS = [Row(f"{mode} {keywords} {widths}", lambda a, m=mode, k=keywords, w=widths: eg.pad(a, w, m, **k),
            lambda a, m=mode, k=keywords, w=widths: np.pad(a, w, m, **k), [array], array is A)
        for mode, keywords in MODES for widths in WIDTHS for array in (A, B)]


def test_every_mode_and_width_on_numpy():
    check_values(ROWS, "numpy")


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_every_mode_on_pocl(schedule):
    check_values(ROWS[::15 if schedule == "gpu" else 5], "pocl", schedule)


@pytest.mark.parametrize("row", ROWS[4::12], ids=lambda r: r.name)
def test_gradients(row):
    check_slope(row)


@pytest.mark.parametrize("mode", [m for m, k in MODES if not k])
def test_widths_may_be_scalars_of_the_graph(mode):
    x, n = eg.dmatrix("x"), eg.lscalar("n")
    f = eg.compile([x, n], eg.pad(x, ((n, 1), (0, 2 * n)), mode), device="numpy")
    for width in (0, 1, 6):
        agree(mode, f(A, width), np.pad(A, ((width, 1), (0, 2 * width)), mode))
    with pytest.raises(ValueError, match="negative"):
        f(A, -1)


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "wrap"])
@pytest.mark.parametrize("reflect_type", ["even", "odd"])
def test_c11_one_element_and_wide_widths(mode, reflect_type):
    keywords = {"reflect_type": reflect_type} if mode in ("reflect", "symmetric") else {}
    for size in (1, 2, 5):
        array = np.arange(size) * 3.0 + 1
        x = eg.dvector("x")
        got = evaluate([eg.pad(x, (11, 13), mode, **keywords)], {x.node: array})[0]
        agree(mode, got, np.pad(array, (11, 13), mode, **keywords))


def test_c1_an_axis_without_elements():
    x = eg.dvector("x")
    f = eg.compile([x], [eg.pad(x, 2), eg.pad(x, 0, "edge")], device="numpy")
    assert [o.shape for o in f(np.zeros(0))] == [(4,), (0,)]
    with pytest.raises(IndexError, match="no elements"):
        eg.compile([x], eg.pad(x, 2, "wrap"), device="numpy")(np.zeros(0))


def test_numpys_pad_of_a_symbol_and_widths_by_axis():
    x = eg.dmatrix("x")
    for made, want in ((np.pad(x, ((1, 1), (2, 0)), mode="edge"), np.pad(A, ((1, 1), (2, 0)), mode="edge")),
                       (eg.pad(x, {-1: (1, 2)}), np.pad(A, ((0, 0), (1, 2)))), (eg.pad(x, np.array([1, 2])), np.pad(A, (1, 2)))):
        agree("pad", evaluate([made], {x.node: A})[0], want)


x = eg.matrix("x")
BAD = [
    (lambda: eg.pad(x, -1), eg.ShapeError, "cannot be negative: -1"), (lambda: eg.pad(x, 1, "middle"), eg.UseError, "mode must be one of"),
    (lambda: eg.pad(x, 1, "edge", constant_values=1), eg.CallError, "mode 'edge' does not take constant_values"),
    (lambda: eg.pad(x, ((1, 2), (3, 4), (5, 6))), eg.ShapeError, "a pair for each of 2 axes"),
    (lambda: eg.pad(x, (1, 2, 3)), eg.ShapeError, "a pair for each of 2 axes"),
    (lambda: eg.pad(x, ((1, 2, 3), (1, 2))), eg.ShapeError, r"\(1, 2, 3\) where a pair"),
    (lambda: eg.pad(x, 1.5), eg.DTypeError, "must be an integer"),
    (lambda: eg.pad(x, 1, "reflect", reflect_type="both"), eg.UseError, "reflect_type must be"),
    (lambda: eg.pad(x, 1, "mean", stat_length=0), eg.ShapeError, "at least 1, not 0"),
    (lambda: eg.pad(eg.tensor(shape=(0,)), 1, "edge"), eg.ShapeError, "axis 0 has no elements"),
    (lambda: eg.pad(x, {2: 1}), eg.ShapeError, "axis 2 is out of bounds")]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_input_is_named_with_the_line(number):
    make, error, message = BAD[number]
    with pytest.raises(error, match=message) as found:
        make()
    assert re.search(r"\n  at .*test_padding.py:\d+$", str(found.value))
