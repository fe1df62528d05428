"""Modes by Theano's names: how much a function is optimised, and how its calls are watched."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exprgraph.errors import OptionError, UseError, at, here, shortly
from exprgraph.flags import callable_or_none, truth
from exprgraph.named import NamedTuple

OPTIMIZERS = {"none": "none", "fast_compile": "fast_compile", "default": "default", "unsafe": "unsafe", "full": "default",
              "fast_run": "default"}
"""Names of how much is done to a graph, Theano's among them, and the level that each stands for."""
CHOOSING: dict[str, Callable[..., Mode]] = {}
"""What includes, excludes and checks: it knows all rules, so it is loaded by those who choose.  The package fills it."""
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
    optimizer: str = "default"
    guard: Guard | None = None
    monitor: Monitor | None = None
    debug: Debug | None = None
    chosen: tuple[str, ...] = ()
    rules: tuple[Any, ...] = ()


class Mode(_Fields):
    """How a function is compiled: `compile(mode=...)`, `config.mode`.

    optimizer, the level: "none": only what is needed; "fast_compile": all rules in one sweep, and one form of each plan, so that a
    large graph is compiled sooner; "default" ("full", "fast_run"): all passes; "unsafe": also rules that are true over the reals only.
    guard, monitor, debug: how calls are watched, as NanGuardMode, MonitorMode and DebugMode say.  chosen, rules: what `including` and
    `excluding` have added.

        eg.Mode().excluding("stable").including("softmax")
        eg.Mode(linker="py")                  # UseError: there are no linkers, device="numpy" is Theano's "py"
    """
    __slots__ = ()

    def __new__(cls, optimizer: str = "default", guard: Guard | None = None, monitor: Monitor | None = None, debug: Debug | None = None,
                chosen: tuple[str, ...] = (), rules: tuple[Any, ...] = (), **others: Any) -> Mode:
        if others or isinstance(guard, str):
            from exprgraph import theano_words  # only mistakes need it
        if others:
            raise UseError(f"Mode takes no {next(iter(others))}={theano_words.keyword(next(iter(others)), cls._fields)}{at(here())}")
        if isinstance(guard, str):  # Theano's Mode("py", "fast_run")
            raise UseError(f"Mode({shortly(optimizer)}, {shortly(guard)}): Mode takes an optimizer alone, and no linker: "
                           f"{theano_words.KEYWORDS['linker']}{at(here())}")
        level = OPTIMIZERS.get(optimizer, optimizer) if isinstance(optimizer, str) else optimizer
        return super().__new__(cls, level, guard, monitor, debug, chosen, rules)

    def including(self, *items: Any) -> Mode:
        """The mode with more rules: by name, by tag, "fold" (constants are folded), "all", or an `eg.Rule` of yours.

        What is said later wins over what was said before.  OptionError for a word that is none, with what may be meant.
        """
        return CHOOSING["including"](self, items)

    def excluding(self, *items: Any) -> Mode:
        """The mode without some rules: by name, by tag, "fold", "all", or an `eg.Rule` of yours.  OptionError as for `including`."""
        return CHOOSING["excluding"](self, items)

    @property
    def choice(self) -> dict[str, Any]:
        """The options of a compile that say what is included and excluded: "chosen" is a text with one word a line and tells rules of
        the user's apart by name and version, "rules" are these."""
        told = [f"={r.name} {r.version}" for r in self.rules]
        return {"chosen": "\n".join([*told, *self.chosen]), "rules": self.rules or None}

    @property
    def plain(self) -> bool:
        """Whether nothing is watched."""
        return self.guard is None and not self.watched

    @property
    def watched(self) -> bool:
        """Whether calls are watched step by step."""
        return self.monitor is not None or self.debug is not None


def NanGuardMode(nan_is_error: bool = True, inf_is_error: bool = True, big_is_error: bool = True,  # noqa: N802  (Theano's name)
                 optimizer: str = "default") -> Mode:
    """The mode in which a call fails with GuardFault where something is computed that is NaN, infinite, or above 1e10 in absolute value.

    Kernels test what they compute; the error names the operation, the user's line and the ranges of its inputs, and nothing is
    published.  Arguments are tested too.  Each kind can be allowed.
    """
    return Mode(_known(optimizer), guard=Guard(truth("nan_is_error", nan_is_error), truth("inf_is_error", inf_is_error),
                                               truth("big_is_error", big_is_error)))


def MonitorMode(pre_func: Callback | None = None, post_func: Callback | None = None, optimizer: str = "default") -> Mode:  # noqa: N802
    """The mode that shows every step of a call: pre_func(i, step, inputs, ()) before it, post_func(i, step, inputs, outputs) after it.

    i counts the steps of a call.  step says its name (of the kernel, or of the op), what it computes and the user's lines
    (exprgraph.steps.Step).  inputs and outputs: tuples of NumPy arrays, to be looked at only.  What a function raises ends the call.
    """
    return Mode(_known(optimizer), monitor=Monitor(callable_or_none("pre_func", pre_func),
                                                   callable_or_none("post_func", post_func)))


def DebugMode(check_rewrites: bool = True, check_kernels: bool = True, optimizer: str = "default") -> Mode:  # noqa: N802
    """The mode in which every call compares each rewrite of the graph, and each kernel, with the NumPy backend on the call's values.

    MismatchFault names the first rule or kernel that is further off than rounding explains, the operation, the user's line and the
    distance in ULPs; nothing is published.  `f.debug` is a table of all that was compared.  A call takes many times as long.
    """
    return Mode(_known(optimizer), debug=Debug(truth("check_rewrites", check_rewrites), truth("check_kernels", check_kernels)))


def kept_on_disk(options: Mapping[str, Any]) -> bool:
    """Whether what is made under these options may be kept: not with rules that do not say which version they are of."""
    return all(r.version is not None for r in options.get("rules") or ())


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
    return CHOOSING["checked"](mode) if mode.chosen or mode.rules else mode


MODES = {"FAST_RUN": Mode(), "FAST_COMPILE": Mode("fast_compile"), "DebugMode": DebugMode(), "NanGuardMode": NanGuardMode(),
         "MonitorMode": MonitorMode()}
"""The modes that have a name."""
