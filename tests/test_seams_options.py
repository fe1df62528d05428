"""Options that are True or False, texts or functions: what is none of these is refused where it is given, with the user's line."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import OptionError

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
    for right in (False, np.False_, 0) if option != "autoname" else (True, np.True_, 1):
        call(**{option: right})


@pytest.mark.parametrize(("call", "option", "wrong"), OTHERS, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_no_text_and_no_function_is_no_option(call: Callable[..., Any], option: str, wrong: list[Any]) -> None:
    for value in wrong:
        refused(call, option, value)


def test_a_refused_option_changes_nothing() -> None:
    with pytest.raises(OptionError):
        s.set_value(F(7), borrow="no")
    assert s.get_value() == 1 and compiled(name="f", profile=np.bool_(False), watch=None, no_default_updates=[s])([1]).tolist() == [2]
