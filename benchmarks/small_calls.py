"""What a call costs where the arrays are small: microseconds per call, beside NumPy and beside a bare launch with pyopencl."""
from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyopencl as cl

import exprgraph as eg
from runtime import device

ROUNDS, SECONDS = 15, 0.02
F = np.dtype("float32")


class Case(NamedTuple):
    """One expression: the compiled call and NumPy's."""
    name: str
    ours: Callable[[], Any]
    numpys: Callable[[], Any]


def _array(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).random(shape, F)


def _pure(name: str, symbols: list[Any], expression: Any, values: list[Any], numpys: Callable[..., Any]) -> Case:
    f = eg.compile(symbols, expression)
    np.testing.assert_allclose(f(*values), numpys(*values), rtol=1e-4, atol=1e-6)
    return Case(name, lambda: f(*values), lambda: numpys(*values))


def _softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _decay() -> Case:
    """A loop over a shared variable."""
    x, w = eg.vector("x"), eg.shared(np.zeros(1000, F), "w")
    f, step = eg.compile([x], updates={w: w * np.float32(0.9) + x}), _array(1000)
    state = [np.zeros(1000, F)]

    def numpys() -> None:
        state[0] = state[0] * np.float32(0.9) + step
    return Case("shared w = 0.9 w + x, n=1000", lambda: f(step), numpys)


def _logistic() -> Case:
    """One step of logistic regression on 400 images of 28 by 28."""
    images, labels = _array(400, 784), (_array(400) > 0.5).astype(F)
    x, y, w = eg.matrix("X"), eg.vector("y"), eg.shared(np.zeros(784, F), "w")
    p = eg.sigmoid(x @ w)
    cost = eg.binary_crossentropy(p, y).mean() + 0.01 * (w**2).sum()
    train = eg.compile([x, y], cost, updates={w: w - 0.1 * eg.grad(cost, w)})
    weights = [np.zeros(784, F)]

    def numpys() -> Any:
        v = weights[0]
        z = images @ v
        loss = (np.logaddexp(np.float32(0), z) - labels * z).mean() + np.float32(0.01) * (v**2).sum()
        q = 1 / (1 + np.exp(-z))
        weights[0] = v - np.float32(0.1) * (images.T @ (q - labels) / np.float32(400) + np.float32(0.02) * v)
        return loss
    for _ in range(5):
        np.testing.assert_allclose(train(images, labels), numpys(), rtol=1e-4)
    return Case("logistic step, 400x784", lambda: train(images, labels), numpys)


def cases() -> list[Case]:
    """All expressions, each checked against NumPy."""
    x, y, m, k = *eg.vectors("x", "y"), *eg.matrices("m", "k")
    a, b, s, p, q = _array(1000), _array(1000) + 1, _array(32, 10), _array(64, 64), _array(64, 64)
    return [
        _pure("2x + 3xy - xx, n=1000", [x, y], 2 * x + 3 * x * y - x * x, [a, b], lambda u, v: 2 * u + 3 * u * v - u * u),
        _pure("sum((x-y)^2), n=1000", [x, y], ((x - y)**2).sum(), [a, b], lambda u, v: ((u - v)**2).sum()),
        _pure("softmax, 32x10", [m], eg.softmax(m, axis=1), [s], _softmax),
        _pure("matmul, 64x64x64", [m, k], m @ k, [p, q], np.matmul),
        _decay(), _logistic()]


def launches() -> list[tuple[str, Callable[[], Any]]]:
    """Nothing but set_arg, enqueue and finish of an empty kernel, on each OpenCL device."""
    found = []
    for platform in cl.get_platforms():
        for handle in platform.get_devices():
            context = cl.Context([handle])
            queue = cl.CommandQueue(context)
            kernel = cl.Program(context, "kernel void k(int n) {}").build().k
            found.append((f"bare launch on {handle.name[:20]}", _launch(queue, kernel)))
    return found


def _launch(queue: Any, kernel: Any) -> Callable[[], None]:
    number = np.int32(1)

    def run() -> None:
        kernel.set_arg(0, number)
        cl.enqueue_nd_range_kernel(queue, kernel, (1,), (1,))
        queue.finish()
    return run


def times(calls: list[Callable[[], Any]]) -> list[float]:
    """Microseconds per call, the least of rounds in which all calls take turns."""
    timers = [timeit.Timer(call) for call in calls]
    numbers = [max(int(SECONDS / max(min(t.repeat(3, 5)) / 5, 1e-7)), 1) for t in timers]
    least = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        least = [min(old, t.timeit(n) / n * 1e6) for old, t, n in zip(least, timers, numbers)]
    return least


def main() -> None:
    """Print a line per expression and per device."""
    device.devices()  # before pyopencl is asked, so that the settings of the driver are ours
    print(f"{'microseconds per call':32s} {'exprgraph':>9s} {'NumPy':>9s} {'ratio':>6s}")
    for case in cases():
        ours, numpys = times([case.ours, case.numpys])
        print(f"{case.name:32s} {ours:9.2f} {numpys:9.2f} {ours / numpys:6.2f}")
    for name, call in launches():
        print(f"{name:32s} {times([call])[0]:9.2f}")


if __name__ == "__main__":
    main()
