"""Groups of work-items (row B8): never larger than the device takes, nor than a kernel takes once it is built."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from codegen.growth import flatten
from codegen.plan import Launch
from exprgraph.errors import DeviceError
from exprgraph.requires import uncertain
from runtime import device, function, selftest
from runtime.driver import cl
from runtime.executable import narrower
from runtime.program import GroupLimit


def target(**limits: int) -> Any:
    """A GPU with these limits."""
    return device.choose("pthread").target._replace(host_shared=False, schedule="gpu", dialect="portable", units=20, **limits)


@pytest.mark.parametrize("family", selftest.FAMILIES)
@pytest.mark.parametrize("limits", [{"max_group": 64, "local_bytes": 4096}, {"max_group": 1}, {"local_bytes": 1024}], ids=str)
def test_B8_plans_keep_to_the_limits_of_a_device(family: str, limits: dict[str, int]) -> None:
    symbols, _ = selftest.inputs()
    for out in selftest.FAMILIES[family](*symbols):
        leaves = eg.explicit_graph_inputs([out])
        graph, found = eg.Graph(tuple(leaves), (out,)), target(**limits)
        outcomes, layouts = ("equal",) * len(uncertain(graph)), ("C",) * len(leaves)
        plan = function._plan(graph, [i.node for i in leaves], outcomes, layouts, False, found, "", {})
        groups = [math.prod(s.local) for s in flatten(plan.steps) if isinstance(s, Launch)]
        assert groups and max(groups) <= found.max_group


@pytest.mark.parametrize("limit", [100, 16, 1])
@pytest.mark.parametrize("when", ["compile", "call", "warm"])
def test_B8_a_kernel_that_takes_fewer_is_made_again(limit: int, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers count too, so a driver may say so only when a kernel is built: then all of the function is made for smaller groups."""
    real, now, seen = cl.Kernel.get_work_group_info, [when == "compile"], []

    def told(kernel: Any, what: Any, handle: Any) -> Any:
        found = real(kernel, what, handle)
        return min(found, limit) if now[0] and what == cl.kernel_work_group_info.WORK_GROUP_SIZE else found
    monkeypatch.setattr(cl.Kernel, "get_work_group_info", told)
    x = eg.matrix("x")
    f = eg.compile([x], [eg.softmax(x * 1.5, axis=1), x.sum()], device="pocl", schedule="gpu")
    now[0] = True
    if when == "warm":
        f.warm()
    value = np.random.default_rng(limit).normal(size=(40, 300)).astype("f4")
    found, total = f(value)
    wanted = np.exp(value * 1.5) / np.exp(value * 1.5).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    np.testing.assert_allclose(total, value.sum(), rtol=1e-4)
    if when != "call":
        assert f._run.target.max_group == limit
    seen = [math.prod(s.local) for p in f._run.plans.values() for s in flatten(p.plan.steps) if isinstance(s, Launch)]
    assert max(seen) <= f._run.target.max_group


def test_B8_a_device_that_takes_no_group_at_all() -> None:
    with pytest.raises(DeviceError, match="takes at most 64 work-items in a group, fewer than"):
        narrower(target(max_group=64), GroupLimit(64))
