"""compile(): symbols in, a callable out, built by the backend that the device asks for."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from exprgraph import backend
from exprgraph.assemble import POLICIES, Assembly, as_givens, as_updates, assemble, unpacked
from exprgraph.backend import BACKENDS
from exprgraph.compiled import Function
from exprgraph.config import config
from exprgraph.containers import Container
from exprgraph.errors import GraphError, OptionError, at, here, shortly
from exprgraph.flags import callable_or_none, text_or_none, truth, truth_or_none
from exprgraph.graph import symbol_of
from exprgraph.hardware import DeviceInfo
from exprgraph.kept import optimised
from exprgraph.later import Built, Later
from exprgraph.modes import MODES, OPTIMIZERS, Mode, checked
from exprgraph.node import Out
from exprgraph.phases import listening, phase
from exprgraph.program import Executable, Program, Watch
from exprgraph.shared import Shared
from exprgraph.signature import In, as_input, slot
from exprgraph.staying import places

__all__ = ["BACKENDS", "Container", "Function", "In", "compile", "eval", "function"]


P = ParamSpec("P")
R = TypeVar("R")


def _teaching(*others: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For a function that takes its own keywords and those of others: any other is a TypeError that says what to write."""
    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        codes = [getattr(f, "__wrapped__", f).__code__ for f in (function, *others)]
        known = tuple(dict.fromkeys(n for c in codes for n in c.co_varnames[:c.co_argcount + c.co_kwonlyargcount]))

        @functools.wraps(function)
        def call(*arguments: P.args, **keywords: P.kwargs) -> R:
            for name in keywords:
                if name not in known:
                    from exprgraph import theano_words  # only mistakes need it
                    raise TypeError(f"{function.__name__}() takes no {name}={theano_words.keyword(name, known)}{at(here())}")
            return function(*arguments, **keywords)
        return call
    return decorate


@_teaching()
def compile(inputs: Any, outputs: Any = None, *, updates: Any = None, givens: Any = None, name: str | None = None,
            device: str | DeviceInfo | None = None, on_unused_input: str | None = None, allow_input_downcast: bool | None = None,
            mode: str | Mode | None = None, no_default_updates: bool | Iterable[Shared] = False, optimizer: str | None = None,
            schedule: str | None = None, watch: Watch | None = None, rebuild_strict: bool = True, output: Any = None,
            missing_float64: str | None = None, profile: bool | None = None, background: bool = False,
            max_bytes: int | None = None, simplify: str | None = None) -> Function:
    """A function from values of `inputs` to values of `outputs`.

    inputs: a list of symbols and `In`s, or one symbol; a computed symbol may be an input too.  outputs: a symbol (the function
    returns an array), a list or tuple (a list or tuple), a dict with string keys (a dict), None (None).  updates: shared variable ->
    new value, all computed from the old values and stored together.  givens: symbol -> replacement.  device: "auto", "cpu", "gpu",
    "pocl", "numpy", "0:1" or part of a name, or a record of `devices()`.  on_unused_input: "raise", "warn" or "ignore".
    allow_input_downcast: True casts arguments even where precision is lost, None takes Python numbers though they are rounded, False
    does not.  rebuild_strict: givens must have the dtype of what they replace; with False they are cast to it.  no_default_updates:
    True, or shared variables whose default update is left out.  mode: "FAST_RUN", "FAST_COMPILE" (few passes), "DebugMode",
    "NanGuardMode", "MonitorMode", or an object that these names' functions give, or `Mode`, which also chooses rules.  optimizer:
    "none", "fast_compile", "default" or "unsafe", in place of what the mode says.  schedule: "auto", "cpu" or "gpu".  watch: called
    with (name, before, after) for every pass.  output: "host", or "device" for results that are device arrays; a list or, for a dict of
    outputs, a dict of these says so for each.  missing_float64: on a device without float64, "raise", or "downcast" to compute in
    float32 what is float64; arguments and results keep their dtype.
    profile: whether calls are timed step by step (`f.profile`).  background: return at once; NumPy answers calls until a thread has
    built the kernels (`f.ready`, `f.wait()`).
    max_bytes: the most that a call may take of memory, as `f.memory` counts it, with all that lives between its stages; steps are
    reordered and run again until they fit, or the call is refused with an AllocationError.
    simplify: "sympy" asks sympy too for cheaper forms of the elementwise parts; "none" does not.
    GraphError, DTypeError, RankError or ShapeError for what cannot be compiled, OptionError for options of a wrong type.
    """
    name, watch = text_or_none("name", name), callable_or_none("watch", watch)
    background, rebuild_strict = truth("background", background), truth("rebuild_strict", rebuild_strict)
    allow_input_downcast = truth_or_none("allow_input_downcast", allow_input_downcast)
    options = {**_options(device, optimizer, mode, schedule, name, watch), "max_bytes": _bound(max_bytes)}
    options |= _opinion(options, simplify)
    options["missing_float64"] = _choice("missing_float64", missing_float64 or config.missing_float64, ("raise", "downcast"))
    profiled = bool(config.profile if truth_or_none("profile", profile) is None else profile)
    policy = _choice("on_unused_input", on_unused_input or config.on_unused_input, POLICIES)
    specs = [as_input(item, i) for i, item in enumerate(inputs if isinstance(inputs, list | tuple) else [inputs])]
    wanted, form = unpacked(outputs)
    label = name or (wanted[0].name if wanted else None) or "f"
    if profiled or not options["mode"].plain:
        from exprgraph.watching import collectors  # what watches calls is loaded by those who watch
        options |= collectors(options["mode"], profiled, name or (wanted[0].name if wanted else None))
    slots = [slot(spec, label, allow_input_downcast) for spec in specs]
    assembly = assemble(specs, slots, wanted, as_updates(updates), as_givens(givens, rebuild_strict), _excluded(no_default_updates), policy)
    stays = places(output, form.names, len(wanted))
    program, executable, used = (begun if background and options["device"] != "numpy" else built)(assembly, options, stays)
    return Function(label, slots, wanted, assembly, form, program, executable, used)


def begun(assembly: Assembly, options: dict[str, Any], stays: tuple[bool, ...]) -> Built:
    """The program as it is, for NumPy, while another thread makes what `built` gives."""
    from exprgraph.background import Background  # few need threads
    backend.check_device(options["device"])
    program = Program(assembly.graph, tuple(i.node for i in assembly.graph.inputs), assembly.n_outputs, options, stays)
    plain, _ = backend.build(program, "numpy")
    return Built(program, cast(Executable, Background(program, plain, lambda: built(assembly, options, stays))), options["device"])


def later(assembly: Assembly, options: dict[str, Any], stays: tuple[bool, ...]) -> Built:
    """The program as it is, and what makes of it what `built` gives when it is first needed."""
    program = Program(assembly.graph, tuple(i.node for i in assembly.graph.inputs), assembly.n_outputs, options, stays)
    return Built(program, cast(Executable, Later(lambda: built(assembly, options, stays))), options["device"])


def built(assembly: Assembly, options: dict[str, Any], stays: tuple[bool, ...]) -> Built:
    """The optimised program of a graph, its executable, and the device that this is for."""
    leaves = tuple(i.node for i in assembly.graph.inputs)
    with listening(options.get("profile")):
        with phase("optimise", options["name"] or "f"):
            graph = optimised(assembly.graph, leaves, options)
        program = Program(graph, leaves, assembly.n_outputs, options, stays)
        executable, used = backend.build(program, options["device"])
    return Built(program, executable, "numpy" if used == "numpy" else options["device"])


def _options(device: str | DeviceInfo | None, optimizer: str | None, mode: str | Mode | None, schedule: str | None, name: str | None,
             watch: Watch | None) -> dict[str, Any]:
    meant = _mode(config.mode if mode is None else mode)
    if mode is None and meant == Mode():
        meant = Mode(config.optimizer)
    level = OPTIMIZERS[_choice("optimizer", meant.optimizer if optimizer is None else optimizer, tuple(OPTIMIZERS))]
    return {"device": backend.device_name(config.device if device is None else device), "optimizer": level,
            "schedule": _choice("schedule", schedule or config.schedule, ("auto", "cpu", "gpu")),
            "deterministic": config.deterministic, "name": name, "watch": watch, "mode": meant, **meant.choice}


def _opinion(options: dict[str, Any], simplify: str | None) -> dict[str, Any]:
    """What is included, and so part of every key, where sympy is asked."""
    chosen = options["chosen"]
    if _choice("simplify", config.simplify if simplify is None else simplify, ("none", "sympy")) == "sympy":
        chosen = f"{chosen}\n+sympy"
    if "+sympy" not in chosen.split("\n"):
        return {}
    from exprgraph.search.opinion import version  # few ask for it
    return {"chosen": f"=sympy {version()}\n{chosen}"}


def _mode(value: Any) -> Mode:
    return checked(value) if isinstance(value, Mode) else MODES[_choice("mode", value, tuple(MODES))]


def _choice(setting: str, value: Any, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise GraphError(f"{setting}={shortly(value)}: expected one of {', '.join(map(repr, choices))}{at(here())}")
    return value


def _bound(most: Any) -> int | None:
    if most is None:
        return None
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 1:
        raise GraphError(f"max_bytes={shortly(most)}: a whole number of bytes above 0 is needed, or None{at(here())}")
    return int(most)


def _excluded(given: bool | Iterable[Shared]) -> Any:
    if isinstance(given, bool):
        return lambda node: given
    listed = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(s, Shared) for s in listed):
        raise OptionError(f"no_default_updates={shortly(given)}: True, False or a list of shared variables is needed{at(here())}")
    nodes = {s.node for s in listed}
    return lambda node: node in nodes


@_teaching(compile)
def function(inputs: Any, outputs: Any = None, mode: str | Mode | None = None, updates: Any = None, givens: Any = None,
             no_default_updates: bool | Iterable[Shared] = False, accept_inplace: bool = False, name: str | None = None,
             rebuild_strict: bool = True, allow_input_downcast: bool | None = None, profile: bool | None = None,
             on_unused_input: str | None = None, **options: Any) -> Function:
    """`compile` under its Theano name, with Theano's order of arguments.

    accept_inplace is accepted and changes nothing: no op of a graph writes into its inputs.
    """
    truth("accept_inplace", accept_inplace)
    return compile(inputs, outputs, mode=mode, updates=updates, givens=givens, no_default_updates=no_default_updates, name=name,
                   rebuild_strict=rebuild_strict, allow_input_downcast=allow_input_downcast, profile=profile,
                   on_unused_input=on_unused_input, **options)


def eval(expression: Out, given: Mapping[Any, Any] | None = None) -> Any:
    """The value of an expression where its symbols, or inputs of these names, have the given values.

    The function is kept on the expression for the next time.  Values of symbols that it does not depend on are left alone.  UseError for
    a key that is neither a symbol nor the name of exactly one input, MissingInputError for an input without a value.
    """
    values = {symbol_of(k, [expression]): v for k, v in (given or {}).items()}
    kept: dict[Any, Function] = expression.tag.__dict__.setdefault("functions", {})
    key = (tuple((s.node.uid, s.index) for s in values), config.device, config.optimizer, config.mode, config.profile,
           config.deterministic, config.schedule, config.floatX, config.missing_float64, config.simplify)
    if key not in kept:
        kept[key] = compile(list(values), expression, on_unused_input="ignore", name="eval")
    return kept[key](*values.values())
