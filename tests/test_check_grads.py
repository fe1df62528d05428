"""verify_grad and check_grads: right gradients pass, planted faults are found and named."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import GradientError
from exprgraph.ops.rows import undefined
from exprgraph.testing import GradientMismatch, check_grads, verify_grad

V, M = np.array([0.3, -1.2, 2.0]), np.array([[0.1, 0.5, -0.4], [1.0, -2.0, 0.7]])


def planted(place: int):
    """A product whose gradient is wrong in one element of its second argument."""
    mask = np.zeros(3)
    mask[place] = 1.0
    return eg.custom_gradient(lambda a, b: (a * b, lambda g: (g * b, g * a * (1 + mask))))


SMOOTH = {
    "product": (lambda a, b: a @ b, (M, V)), "softmax": (eg.softmax, (M,)), "several": (lambda a: (eg.sin(a), a.sum() ** 2), (V,)),
    "scalar": (lambda a: a ** 3, (np.float64(0.7),)), "two": (lambda a, b: eg.exp(a) * b, (V, V))}


@pytest.mark.parametrize("modes", ["reverse", "forward", ("forward", "reverse")], ids=str)
@pytest.mark.parametrize("case", SMOOTH)
def test_right_ones_pass(case: str, modes) -> None:
    function, point = SMOOTH[case]
    check_grads(function, point, order=2, modes=modes)


@pytest.mark.parametrize("place", [0, 2])
def test_a_planted_fault_is_named(place: int) -> None:
    with pytest.raises(GradientMismatch, match=rf"reverse: gradient of order 1 .* furthest off with respect to argument 1\[{place}\]: "):
        check_grads(planted(place), (V, V + 1))
    with pytest.raises(GradientMismatch, match=rf"projection 0: with respect to input 1\[{place}\]: the graph gives"):
        verify_grad(planted(place), [V, V + 1])


def test_a_fault_of_the_second_order_alone() -> None:
    """The gradient is right, and its own gradient is not."""
    slope = eg.custom_gradient(lambda a: (2 * a, lambda g: 3 * g))
    square = eg.custom_gradient(lambda a: (a * a, lambda g: g * slope(a)))
    check_grads(square, (V,), order=1)
    with pytest.raises(GradientMismatch, match="reverse of reverse: gradient of order 2"):
        check_grads(square, (V,), order=2)


def test_a_fault_of_forward_mode_alone() -> None:
    wrong = eg.custom_gradient(lambda a: (a * a, lambda g: 2 * g * a, lambda t: 2 * t * a + t))
    check_grads(wrong, (V,))
    with pytest.raises(GradientMismatch, match="forward: gradient of order 1"):
        check_grads(wrong, (V,), modes="forward")
    with pytest.raises(GradientMismatch, match="forward of reverse|reverse of forward|forward: "):
        check_grads(wrong, (V,), modes=("reverse", "forward"))


def test_a_gradient_that_is_NaN_is_found() -> None:
    bad = eg.custom_gradient(lambda a: (a * 1, lambda g: g * np.array([1.0, np.nan, 1.0])))
    with pytest.raises(GradientMismatch, match=r"argument 0\[1\]"):
        check_grads(bad, (V,))
    with pytest.raises(GradientMismatch, match=r"input 0\[1\]"):
        verify_grad(bad, [V])


def test_wrong_modes() -> None:
    for modes in ("backward", (), ("reverse", "sideways")):
        with pytest.raises(ValueError, match="(?s)modes=.*'forward', 'reverse'.*test_check_grads"):
            check_grads(eg.sin, (V,), modes=modes)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_verify_grad_by_dtype(dtype: str) -> None:
    """Steps and tolerances follow from the dtype."""
    verify_grad(lambda a, b: eg.tanh(a @ b), [M.astype(dtype), V.astype(dtype)], rng=np.random.RandomState(4))


def test_arguments_of_verify_grad() -> None:
    with eg.change_flags(device="numpy"):
        verify_grad(lambda a: a ** 2, [V], n_tests=1, mode="FAST_RUN", out_type="float64", cast_to_output_type=True)
    verify_grad(lambda a: a ** 2, [V], rng=7, eps=1e-5, abs_tol=1e-3, rel_tol=1e-3)
    verify_grad(lambda a: eg.exp(a), [V.astype("float32")], cast_to_output_type=True)
    verify_grad(lambda a, b: a * eg.disconnected_grad(b * 0 + 1), [V, V])
    with pytest.raises(GradientError, match="(?s)out_type='float32' is expected.*test_check_grads"):
        verify_grad(lambda a: a, [V], out_type="float32")
    with pytest.raises(GradientError, match="input 1 is int64; finite differences need floats"):
        verify_grad(lambda a, i: a[i], [V, np.array([0])])
    with pytest.raises(GradientError, match="not one symbol"):
        verify_grad(lambda a: (a, a), [V])
    with pytest.raises(GradientMismatch):  # a tolerance that a central difference cannot meet
        verify_grad(lambda a: eg.exp(a * 3), [V], abs_tol=0, rel_tol=0)


def test_undefined_gradients_are_errors_here_too() -> None:
    row = eg.ROWS["exp"].changed(name="mine", grad=lambda g, y, x: (undefined("no slope"),))
    for check in (lambda: check_grads(row, (V,)), lambda: verify_grad(row, [V])):
        with pytest.raises(eg.NullTypeGradError, match="no slope"):
            check()


@pytest.mark.parametrize("order", [0, -1, 1.5, True, None, "2"])
def test_an_order_that_checks_nothing(order) -> None:
    with pytest.raises(ValueError, match="(?s)order=.*at least 1 is needed.*test_check_grads"):
        check_grads(eg.sin, (V,), order=order)


HIDDEN = {  # a wrong slope beside a large value, in a small function, and where slopes are large elsewhere
    "large value": lambda q, wrong: 1e6 + wrong(q), "larger": lambda q, wrong: 1e8 + wrong(q),
    "small slope": lambda q, wrong: 1e-6 * wrong(q), "large and small": lambda q, wrong: eg.concatenate([1e6 + q * 0, 1e-2 * wrong(q)])}


@pytest.mark.parametrize("modes", ["reverse", "forward"])
@pytest.mark.parametrize("case", HIDDEN)
def test_a_large_value_hides_no_wrong_slope(case: str, modes: str) -> None:
    wrong = eg.custom_gradient(lambda q: (q ** 2, lambda g: 0 * g, lambda t: 0 * t))
    with pytest.raises(GradientMismatch, match=f"{modes}: gradient of order 1"):
        check_grads(lambda q: HIDDEN[case](q, wrong), (V,), order=1, modes=modes)
    check_grads(lambda q: HIDDEN[case](q, lambda q: q ** 2), (V,), modes=modes)


def test_points_that_are_none() -> None:
    for point, words in ((V, "point is ndarray; a list or tuple of arrays is needed"), (0.5, "point is float"), (None, "point is NoneType"),
                         ((V + 1j,), "argument 0 is complex128; finite differences need real numbers"), ((V, ["a"]), "argument 1 is <U1")):
        with pytest.raises(GradientError, match=f"(?s)check_grads: {words}.*test_check_grads"):
            check_grads(eg.sin, point)
    with pytest.raises(eg.GraphError, match="check_grads: its function gave 3"):
        check_grads(lambda x: 3, (V,))


@pytest.mark.parametrize("modes", ["reverse", "forward", ("forward", "reverse")], ids=str)
def test_complex_results_and_containers(modes) -> None:
    """Both parts of a complex result count."""
    check_grads(lambda a, b: {"z": eg.exp(eg.complex(a, b)), "r": a * b}, (V, V + 1), modes=modes)
    wrong = eg.custom_gradient(lambda b: (b * 1, lambda g: 2 * g, lambda t: 2 * t))
    with pytest.raises(GradientMismatch):
        check_grads(lambda a, b: eg.complex(a, wrong(b)), (V, V + 1), order=1, modes=modes)
