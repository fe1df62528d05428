"""checkpoint: the same gradients, bit for bit, from less memory between the forward and the backward pass."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from codegen.generate import generate
from codegen.plan import Branch, HostCall, Launch, Plan
from exprgraph.graph import order
from exprgraph.testing import check_grads
from runtime.workspace import layout
from tests.faults import WAYS
from tests.plan_runner import CPU, GPU, Sizes, interpret

BLOCKS, WIDTH = 16, 24


def block(h, w):
    """A matrix product, and five values that its gradient needs."""
    a = eg.tanh(h @ w)
    b = eg.tanh(a * a + h)
    return eg.sin(b) * eg.exp(a)


def scaled(a, b):
    """A product in every dtype."""
    return (a @ b) * a


def chain(wrapped: bool, blocks: int = BLOCKS, width: int | None = None):
    """Inputs and gradients of a chain of blocks, of a known width."""
    x, *weights = [eg.tensor(f"x{k}", "float32", (width, width)) for k in range(blocks + 1)]
    h = x
    for w in weights:
        h = (eg.checkpoint(block) if wrapped else block)(h, w)
    return [x, *weights], [*eg.grad((h * h).sum(), [x, *weights])]


def values(blocks: int = BLOCKS) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.normal(size=(WIDTH, WIDTH)).astype("float32") * 0.2 for _ in range(blocks + 1)]


@pytest.mark.parametrize("way", WAYS)
def test_gradients_are_the_same_bit_for_bit(way: str) -> None:
    plain, wrapped = (eg.compile(*chain(w, 3), **WAYS[way])(*values(3)) for w in (False, True))
    for a, b in zip(plain, wrapped):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a).max() > 0


@pytest.mark.parametrize("optimizer", ["none", "full"])
@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_other_dtypes_and_no_optimiser(dtype: str, optimizer: str) -> None:
    value = (np.arange(9).reshape(3, 3) / 9 - 0.3).astype(dtype)
    found = []
    for wrapped in (False, True):
        h, w = eg.tensor("h", dtype, (None, None)), eg.tensor("w", dtype, (None, None))
        y = (eg.checkpoint(scaled) if wrapped else scaled)(h, w)
        g = eg.grad((eg.abs(y) ** 2).sum(), [h, w])
        found.append(eg.compile([h, w], g, device="pocl", optimizer=optimizer)(value, value))
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)


def steps(plan_steps, sizes):
    """The steps that these sizes run."""
    for step in plan_steps:
        if isinstance(step, Branch):
            yield from steps(step.variants[min(max(sizes(step.pick), 0), len(step.variants) - 1)], sizes)
        elif isinstance(step, Launch | HostCall):
            yield step


def workspace(plan: Plan, leaves, arrays) -> int:
    """The bytes of the intermediates of a plan, those that are never needed at once sharing memory."""
    sizes = Sizes(leaves, arrays)
    rooms = {b.name: sizes(b.size) * np.dtype(b.dtype).itemsize for b in plan.buffers if b.role == "temp"}
    uses = [s.buffers if isinstance(s, Launch) else [o.buffer for o in (*s.inputs, s.output)] for s in steps(plan.steps, sizes)]
    return layout(uses, rooms).total


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
def test_the_workspace_falls(target) -> None:
    """16 blocks of five values each: without checkpoints nearly all are kept, with them one for each block and those of one block."""
    found = []
    for wrapped in (False, True):
        inputs, outputs = chain(wrapped, width=WIDTH)
        f = eg.compile(inputs, outputs, device="numpy")
        leaves = [i.node for i in inputs]
        plan = generate(f.graph, leaves, None, ["C"] * len(leaves), False, target)
        found.append(workspace(plan, leaves, values()) / (WIDTH * WIDTH * 4))
    assert found[0] > 3.5 * BLOCKS and found[1] < 1.5 * BLOCKS + 8, found


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
def test_the_plan_computes_the_gradient(target) -> None:
    """In the interpreter, which checks that every value is there before it is read."""
    inputs, outputs = chain(True, 2)
    got = interpret(eg.Graph(tuple(inputs), tuple(eg.compile(inputs, outputs, device="numpy").graph.outputs)),
                    [i.node for i in inputs], [v[:5, :5].copy() for v in values(2)], target)
    wanted = eg.compile(*chain(False, 2), device="numpy")(*[v[:5, :5].copy() for v in values(2)])
    for a, b in zip(got, wanted):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_optimiser_leaves_the_second_time_alone() -> None:
    counts = []
    for wrapped in (False, True):
        x = eg.vector("x")
        y = (eg.checkpoint(eg.tanh) if wrapped else eg.tanh)(x)
        f = eg.compile([x], eg.grad((y * y).sum(), x), device="numpy")
        counts.append(sum(n.op.name == "tanh" for n in order(f.graph.outputs)))
    assert counts == [1, 2]


def test_forms_of_functions() -> None:
    """Several results, numbers among the arguments, shared variables from outside, a decorator, and none of it changes gradients."""
    w = eg.shared(np.array([2.0, 3.0]), name="w")

    @eg.checkpoint
    def several(x, power, *, shift):
        return eg.sin(x * w) ** power, x + shift
    x = eg.dvector("x")
    point = np.array([0.3, 0.7])
    a, b = several(x, 3, shift=1.0)
    got = eg.compile([x], [*eg.grad((a * b).sum(), [x, w])], device="numpy")(point)
    c, d = eg.sin(x * w) ** 3, x + 1.0
    for one, other in zip(got, eg.compile([x], [*eg.grad((c * d).sum(), [x, w])], device="numpy")(point)):
        np.testing.assert_array_equal(one, other)
    assert several.__name__ == "several"


def test_second_gradients_and_forward_mode() -> None:
    check_grads(lambda a: eg.checkpoint(lambda v: eg.sin(v) * v)(a) ** 2, [np.array([0.5, 1.5])], modes=("forward", "reverse"))


def test_checkpoints_within_checkpoints() -> None:
    inner = eg.checkpoint(lambda v: eg.sin(v * v))
    outer = eg.checkpoint(lambda v: inner(inner(v)) * v)
    check_grads(outer, [np.array([0.5, 1.2])])
