"""Modes by Theano's names: how much a function is optimised, and how its calls are watched."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exprgraph.errors import OptionError, UseError, at, here, shortly
from exprgraph.flags import callable_or_none, truth
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


class _Fields(NamedTuple):
    optimizer: str = "full"
    guard: Guard | None = None
    monitor: Monitor | None = None
    debug: Debug | None = None


class Mode(_Fields):
    """How a function is compiled: `compile(mode=...)`, `config.mode`.

    optimizer: "full" or "fast_run": all passes over the graph; "none" or "fast_compile": only those that are needed, so that a large
    graph is compiled sooner.  guard, monitor, debug: how calls are watched, as NanGuardMode, MonitorMode and DebugMode say.

        eg.Mode(linker="py")                  # UseError: there are no linkers, device="numpy" is Theano's "py"
    """
    __slots__ = ()

    def __new__(cls, optimizer: str = "full", guard: Guard | None = None, monitor: Monitor | None = None, debug: Debug | None = None,
                **others: Any) -> Mode:
        if others or isinstance(guard, str):
            from exprgraph import theano_words  # only mistakes need it
        if others:
            raise UseError(f"Mode takes no {next(iter(others))}={theano_words.keyword(next(iter(others)), cls._fields)}{at(here())}")
        if isinstance(guard, str):  # Theano's Mode("py", "fast_run")
            raise UseError(f"Mode({shortly(optimizer)}, {shortly(guard)}): Mode takes an optimizer alone, and no linker: "
                           f"{theano_words.KEYWORDS['linker']}{at(here())}")
        return super().__new__(cls, optimizer, guard, monitor, debug)

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
    return Mode(_known(optimizer), guard=Guard(truth("nan_is_error", nan_is_error), truth("inf_is_error", inf_is_error),
                                               truth("big_is_error", big_is_error)))


def MonitorMode(pre_func: Callback | None = None, post_func: Callback | None = None, optimizer: str = "full") -> Mode:  # noqa: N802
    """The mode that shows every step of a call: pre_func(i, step, inputs, ()) before it, post_func(i, step, inputs, outputs) after it.

    i counts the steps of a call.  step says its name (of the kernel, or of the op), what it computes and the user's lines
    (exprgraph.steps.Step).  inputs and outputs: tuples of NumPy arrays, to be looked at only.  What a function raises ends the call.
    """
    return Mode(_known(optimizer), monitor=Monitor(callable_or_none("pre_func", pre_func),
                                                   callable_or_none("post_func", post_func)))


def DebugMode(check_rewrites: bool = True, check_kernels: bool = True, optimizer: str = "full") -> Mode:  # noqa: N802
    """The mode in which every call compares each rewrite of the graph, and each kernel, with the NumPy backend on the call's values.

    MismatchFault names the first rule or kernel that is further off than rounding explains, the operation, the user's line and the
    distance in ULPs; nothing is published.  `f.debug` is a table of all that was compared.  A call takes many times as long.
    """
    return Mode(_known(optimizer), debug=Debug(truth("check_rewrites", check_rewrites), truth("check_kernels", check_kernels)))


def _known(optimizer: Any) -> str:
    if not isinstance(optimizer, str):
        raise OptionError(f"optimizer={shortly(optimizer, 40)}: a text is needed, one of {', '.join(map(repr, OPTIMIZERS))}{at(here())}")
    return optimizer


def checked(mode: Mode) -> Mode:
    """A mode, whose parts are what they have to be; OptionError."""
    for what, value, kind in (("guard", mode.guard, Guard), ("monitor", mode.monitor, Monitor), ("debug", mode.debug, Debug)):
        if value is not None and not isinstance(value, kind):
            raise OptionError(f"Mode({what}={shortly(value, 40)}): NanGuardMode(), MonitorMode(), DebugMode() make modes that watch"
                              f"{at(here())}")
    return mode


MODES = {"FAST_RUN": Mode(), "FAST_COMPILE": Mode("none"), "DebugMode": DebugMode(), "NanGuardMode": NanGuardMode(),
         "MonitorMode": MonitorMode()}
"""The modes that have a name."""
