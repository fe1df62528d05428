"""Warnings: each one that these packages give points at the line of the user's."""
from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import backend, background, passes, store
from exprgraph.config import read
from exprgraph.errors import NoDeviceError
from exprgraph.node import Graph
from exprgraph.patterns import Rule
from exprgraph.rewrite import Engine
from runtime import chosen, device, together

ROOT = Path(__file__).resolve().parent.parent
x, y = eg.vectors("x", "y")
Patch = pytest.MonkeyPatch


def swept(*sides: Callable[..., Any]) -> None:
    Engine([Rule("rule", *sides)]).sweep(Graph((x, y), (eg.maximum(eg.exp(x), y),)))


def restless(patch: Patch) -> None:
    patch.setattr(passes, "SWEEPS", 0)
    patch.setattr(eg.config, "cache", "off")
    eg.compile([x], x + 1, device="numpy")


def nowhere(patch: Patch) -> None:
    def missing() -> NoReturn:
        raise NoDeviceError("none")
    patch.setattr(backend, "_warned", [])
    backend.chosen("auto", missing, lambda: None)


def unkept(patch: Patch) -> None:
    patch.setattr(store, "_warned", set())
    store.usable(Path(os.devnull))


def failed(patch: Patch) -> None:
    patch.setattr(chosen, "_warned", set())
    patch.setattr(eg.config, "selftest", True)
    patch.setattr(chosen, "verdict", lambda one: "failed: maps: " + "a long\nlog " * 200 if one is device.devices()[0] else "passed")
    chosen.choose("auto")


def alone(patch: Patch) -> None:
    def ready() -> NoReturn:
        raise OSError("no kernel")
    session = SimpleNamespace(device=SimpleNamespace(name="some device"))
    fake: Any = SimpleNamespace(_lock=nullcontext(), ready=ready, limit=lambda *a: None, session=session)
    together.Helpers.wake(fake)


def behind(patch: Patch) -> None:
    def build() -> NoReturn:
        raise RuntimeError("no compiler\n" + "kernel text\n" * 1000)
    program: Any = SimpleNamespace(stays=(), options={}, graph=Graph((), ()))
    plain: Any = list
    f = background.Background(program, plain, build)
    f.done.wait(20)
    f([])


CASES: dict[str, Callable[[Patch], Any]] = {
    "a variable that sets nothing": lambda p: read({"EXPRGRAPH_FLOATS": "1"}),
    "consider_constant": lambda p: eg.consider_constant(x),
    "an unused input": lambda p: eg.compile([x, y], x, on_unused_input="warn", device="numpy"),
    "a gradient of nothing": lambda p: eg.grad(x.sum(), y, disconnected_inputs="warn"),
    "a tangent of nothing": lambda p: eg.Rop(x, y, y, disconnected_outputs="warn"),
    "a cotangent of nothing": lambda p: eg.Lop(x, y, x, disconnected_inputs="warn"),
    "rules that do not rest": restless, "no device": nowhere, "nothing is kept": unkept, "a device that failed": failed,
    "a rule without end": lambda p: swept(lambda a, b: eg.maximum(a, b), lambda a, b: eg.maximum(b, a)),
    "a rule that changes the dtype": lambda p: swept(lambda a: eg.exp(a), lambda a: eg.cast(a, "int32")),
    "threads that do not help": alone, "a build in the background": behind}


@pytest.mark.parametrize("name", CASES)
def test_a_warning_names_the_line_of_the_user(name: str, monkeypatch: Patch) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        CASES[name](monkeypatch)
    assert {w.filename for w in said} == {__file__} and len(str(said[0].message)) < 400


def test_a_line_is_told_once_unless_filters_say_otherwise() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for _ in range(3):
            eg.consider_constant(x)
    assert len(said) == 1 and said[0].lineno == test_a_line_is_told_once_unless_filters_say_otherwise.__code__.co_firstlineno + 4
    with warnings.catch_warnings(), pytest.raises(DeprecationWarning, match="zero_grad"):
        warnings.simplefilter("error")
        eg.consider_constant(x)


def test_code_of_the_users_that_has_no_module_is_told_too() -> None:
    with pytest.warns(DeprecationWarning) as said:
        exec(compile("call()", "<cell 3>", "exec"), {"call": lambda: eg.consider_constant(x)})
        exec(compile("call(x)", "<cell 4>", "exec"), {"call": eg.consider_constant, "x": x})
    assert [w.filename for w in said] == [__file__, "<cell 4>"]


def test_numpy_warns_of_nothing_inside() -> None:
    """Quotients by zero are values, as they are in kernels."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f = eg.compile([x], eg.log(x - 1) / x + 1 / eg.constant(np.float32(0)), device="numpy")
        assert not np.isfinite(f([0, 1])).any()


def test_nothing_else_warns() -> None:
    """What calls the library itself counts frames, or forgets to."""
    found = [p.name for top in ("exprgraph", "codegen", "runtime") for p in (ROOT / top).rglob("*.py")
             if any(f"warnings.{word}(" in p.read_text() for word in ("warn", "warn_explicit"))]
    assert found == ["warned.py"]
