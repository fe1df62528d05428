"""Options that are True or False, texts or functions: what is none of these is refused where it is given, with the user's line."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import OptionError
from exprgraph.flags import seconds_or_none

F = np.float32
x, s = eg.vector("x"), eg.shared(F(1), "s")


def compiled(**options: Any) -> Any:
    return eg.compile([x], x + 1, device="numpy", **options)


def function(**options: Any) -> Any:
    return eg.function([x], x + 1, device="numpy", **options)


def given(**options: Any) -> Any:
    return eg.In(x, **options)


def copied(**options: Any) -> Any:
    return compiled().copy(**options)


def array(**options: Any) -> Any:
    return eg.array(F([1]), device="numpy", **options)


def kept(**options: Any) -> Any:
    return eg.shared(F([1]), **options)


def mode(**options: Any) -> Any:
    return compiled(mode=eg.Mode(**options))


TRUTHS: list[tuple[Callable[..., Any], str, bool]] = [
    (compiled, "profile", True), (compiled, "background", False), (compiled, "rebuild_strict", False),
    (compiled, "allow_input_downcast", True),
    (function, "profile", True), (function, "accept_inplace", False), (function, "rebuild_strict", False), (function, "background", False),
    (function, "allow_input_downcast", True),
    (given, "strict", False), (given, "borrow", True), (given, "autoname", False), (given, "implicit", True), (given, "mutable", True),
    (given, "allow_downcast", True), (given, "shared", False), (array, "copy", True),
    (copied, "delete_updates", False), (copied, "share_memory", False),
    (kept, "strict", False), (kept, "borrow", False), (kept, "allow_downcast", True),
    (s.get_value, "borrow", False), (s.get_value, "return_internal_type", False),
    (eg.NanGuardMode, "nan_is_error", False), (eg.NanGuardMode, "inf_is_error", False), (eg.NanGuardMode, "big_is_error", False),
    (eg.DebugMode, "check_rewrites", False), (eg.DebugMode, "check_kernels", False)]
OTHERS: list[tuple[Callable[..., Any], str, list[Any]]] = [
    (compiled, "name", [3, b"f", ["f"]]), (compiled, "watch", [3, "print"]), (compiled, "no_default_updates", [3, ["s"], "s", [x]]),
    (copied, "name", [3]), (kept, "name", [3]), (given, "name", [3, x]),
    (eg.MonitorMode, "pre_func", [3, "print"]), (eg.MonitorMode, "post_func", [3, [print]]),
    *[(made, "optimizer", [3, None]) for made in (eg.NanGuardMode, eg.MonitorMode, eg.DebugMode)],
    (mode, "guard", [True, 5]), (mode, "monitor", [print]), (mode, "debug", [1]),
    (compiled().wait, "timeout", ["a", True, float("nan")])]


def refused(call: Callable[..., Any], option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=rf"{option}=(.|\n)* needed|{option}=(.|\n)*modes that watch") as caught:
        call(**{option: value})
    assert "test_seams_options.py" in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(("call", "option", "maybe"), TRUTHS, ids=lambda v: getattr(v, "__name__", v) if not isinstance(v, bool) else "")
def test_what_is_no_truth_value_is_no_option(call: Callable[..., Any], option: str, maybe: bool) -> None:
    for wrong in ("yes", "no", 3, 0.0, [], *([] if maybe else [None])):
        refused(call, option, wrong)
    for right in (False, np.False_, 0, np.int64(0)) if option != "autoname" else (True, np.True_, 1, np.uint8(1)):
        call(**{option: right})


@pytest.mark.parametrize(("call", "option", "wrong"), OTHERS, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_no_text_and_no_function_is_no_option(call: Callable[..., Any], option: str, wrong: list[Any]) -> None:
    for value in wrong:
        refused(call, option, value)


class Mute:
    """What cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("nothing to see")


def named(name: str) -> Callable[[Any], Any]:
    """A compile with a value for one option."""
    return lambda value: compiled(**{name: value})


MUTE: dict[str, tuple[Callable[[Any], Any], Any]] = {
    **{name: (named(name), OptionError) for name in ("profile", "name", "watch", "no_default_updates", "background")},
    **{name: (named(name), eg.GraphError) for name in (
        "max_bytes", "mode", "optimizer", "schedule", "on_unused_input", "output", "missing_float64", "updates", "givens")},
    "device": (lambda v: eg.compile([x], x, device=v), eg.DeviceError), "inputs": (lambda v: eg.compile([v], x), eg.GraphError),
    "outputs": (lambda v: eg.compile([x], v), (eg.GraphError, eg.DTypeError)), "wait": (compiled().wait, OptionError),
    "argument": (compiled(), TypeError), "symbol": (lambda v: x + v, eg.DTypeError), "name of a symbol": (eg.vector, TypeError),
    "dtype": (lambda v: x.astype(v), eg.DTypeError), "config": (lambda v: setattr(eg.config, "device", v), ValueError),
    "config.mode": (lambda v: setattr(eg.config, "mode", v), ValueError), "shared": (eg.shared, TypeError),
    "order": (lambda v: eg.sort(x, order=v), eg.CallError), "pad": (lambda v: eg.pad(x, 1, v), TypeError),
    "round": (lambda v: eg.round(x, mode=v), TypeError), "ids": (lambda v: eg.debugprint(x, ids=v), TypeError),
    "method": (lambda v: eg.quantile(x, 0.5, method=v), eg.CallError),
    "wrt": (lambda v: eg.grad(x.sum(), v), TypeError), "consider_constant": (lambda v: eg.grad(x.sum(), x, consider_constant=v), TypeError)}


@pytest.mark.parametrize("name", MUTE)
def test_what_cannot_be_shown_is_refused_like_anything_else(name: str) -> None:
    call, error = MUTE[name]
    for wrong in (Mute(), [Mute()]):
        with pytest.raises(error) as caught:
            call(wrong)
        assert "test_seams_options.py" in str(caught.value) or name.startswith("config"), caught.value
        assert len(str(caught.value)) < 400 and "nothing to see" not in str(caught.value)


LONG = "q" * 100_000


@pytest.mark.parametrize("name", ["device", "mode", "optimizer", "schedule", "on_unused_input", "output", "missing_float64", "max_bytes"])
def test_a_long_text_is_not_told_whole(name: str) -> None:
    with pytest.raises((ValueError, eg.DeviceError)) as caught:
        eg.compile([x], x, **{name: LONG})
    assert len(str(caught.value)) < 2000 and "qqqq" in str(caught.value)


def test_numpys_whole_numbers_are_bounds() -> None:
    f = compiled(max_bytes=np.int64(100), profile=np.int64(1))
    assert f([1]).tolist() == [2] and f.profile is not None
    with pytest.raises(eg.AllocationError, match="max_bytes=100 "):
        f(np.ones(100, F))
    for wrong in (np.int64(0), np.bool_(True), np.float64(5)):
        with pytest.raises(eg.GraphError, match="a whole number of bytes above 0"):
            compiled(max_bytes=wrong)


@pytest.mark.parametrize("seconds", [10**400, -10**400, np.float32("inf"), np.longdouble("1e4000"), np.int8(0)])
def test_any_number_is_a_time(seconds: Any) -> None:
    f = compiled()
    assert f.wait(seconds) and seconds_or_none("timeout", seconds) == (math.inf if seconds > 0 else -math.inf if seconds < 0 else 0)


def test_a_refused_option_changes_nothing() -> None:
    with pytest.raises(OptionError):
        s.set_value(F(7), borrow="no")
    assert s.get_value() == 1 and compiled(name="f", profile=np.bool_(False), watch=None, no_default_updates=[s])([1]).tolist() == [2]
