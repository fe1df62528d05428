"""Modes by Theano's names: how much a function is optimised, and how its calls are watched."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exprgraph.named import NamedTuple

OPTIMIZERS = {"full": "full", "fast_run": "full", "none": "none", "fast_compile": "none"}
"""Names of how much is done to a graph, Theano's among them."""
BIG = 1e10
"""Absolute values above this are big."""
Callback = Callable[..., Any]


class Guard(NamedTuple):
    """Which values NanGuardMode takes for faults."""
    nan: bool = True
    inf: bool = True
    big: bool = True


class Monitor(NamedTuple):
    """What MonitorMode calls."""
    before: Callback | None = None
    after: Callback | None = None


class Debug(NamedTuple):
    """What DebugMode compares."""
    rewrites: bool = True
    kernels: bool = True


class Mode(NamedTuple):
    """How a function is compiled: `compile(mode=...)`, `config.mode`.

    optimizer: "full" or "fast_run": all passes over the graph; "none" or "fast_compile": only those that are needed, so that a large
    graph is compiled sooner.  guard, monitor, debug: how calls are watched, as NanGuardMode, MonitorMode and DebugMode say.
    """
    optimizer: str = "full"
    guard: Guard | None = None
    monitor: Monitor | None = None
    debug: Debug | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing is watched."""
        return self.guard is None and not self.watched

    @property
    def watched(self) -> bool:
        """Whether calls are watched step by step."""
        return self.monitor is not None or self.debug is not None


def NanGuardMode(nan_is_error: bool = True, inf_is_error: bool = True, big_is_error: bool = True,  # noqa: N802  (Theano's name)
                 optimizer: str = "full") -> Mode:
    """The mode in which a call fails with GuardFault where something is computed that is NaN, infinite, or above 1e10 in absolute value.

    Kernels test what they compute; the error names the operation, the user's line and the ranges of its inputs, and nothing is
    published.  Arguments are tested too.  Each kind can be allowed.
    """
    return Mode(optimizer, guard=Guard(bool(nan_is_error), bool(inf_is_error), bool(big_is_error)))


def MonitorMode(pre_func: Callback | None = None, post_func: Callback | None = None, optimizer: str = "full") -> Mode:  # noqa: N802
    """The mode that shows every step of a call: pre_func(i, step, inputs, ()) before it, post_func(i, step, inputs, outputs) after it.

    i counts the steps of a call.  step says its name (of the kernel, or of the op), what it computes and the user's lines
    (exprgraph.steps.Step).  inputs and outputs: tuples of NumPy arrays, to be looked at only.  What a function raises ends the call.
    """
    return Mode(optimizer, monitor=Monitor(pre_func, post_func))


def DebugMode(check_rewrites: bool = True, check_kernels: bool = True, optimizer: str = "full") -> Mode:  # noqa: N802
    """The mode in which every call compares each rewrite of the graph, and each kernel, with the NumPy backend on the call's values.

    MismatchFault names the first rule or kernel that is further off than rounding explains, the operation, the user's line and the
    distance in ULPs; nothing is published.  `f.debug` is a table of all that was compared.  A call takes many times as long.
    """
    return Mode(optimizer, debug=Debug(bool(check_rewrites), bool(check_kernels)))


MODES = {"FAST_RUN": Mode(), "FAST_COMPILE": Mode("none"), "DebugMode": DebugMode(), "NanGuardMode": NanGuardMode(),
         "MonitorMode": MonitorMode()}
"""The modes that have a name."""
