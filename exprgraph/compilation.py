"""compile(): symbols in, a callable out, built by the backend that the device asks for."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exprgraph import backend
from exprgraph.assemble import POLICIES, Assembly, Form, as_givens, as_updates, assemble, unpacked
from exprgraph.backend import BACKENDS
from exprgraph.compiled import Function
from exprgraph.config import config
from exprgraph.containers import Container
from exprgraph.errors import GraphError, at, here
from exprgraph.graph import symbol_of
from exprgraph.kept import optimised
from exprgraph.node import Out
from exprgraph.program import Program, Watch
from exprgraph.shared import Shared
from exprgraph.signature import In, Slot, as_input, slot
from exprgraph.staying import places

__all__ = ["BACKENDS", "Container", "Function", "In", "compile", "eval", "function"]
MODES = {"FAST_RUN": "full", "FAST_COMPILE": "none"}


def compile(inputs: Any, outputs: Any = None, *, updates: Any = None, givens: Any = None, name: str | None = None,
            device: str | None = None, on_unused_input: str | None = None, allow_input_downcast: bool | None = None,
            mode: str | None = None, no_default_updates: bool | Iterable[Shared] = False, optimizer: str | None = None,
            schedule: str | None = None, watch: Watch | None = None, rebuild_strict: bool = True, output: Any = None,
            missing_float64: str | None = None, max_bytes: int | None = None) -> Function:
    """A function from values of `inputs` to values of `outputs`.

    inputs: a list of symbols and `In`s, or one symbol; a computed symbol may be an input too.  outputs: a symbol (the function
    returns an array), a list or tuple (a list or tuple), a dict with string keys (a dict), None (None).  updates: shared variable
    -> new value, all computed from the old values and stored together.  givens: symbol -> replacement.  device: "auto", "cpu",
    "gpu", "pocl", "numpy", "0:1" or part of a name.  on_unused_input: "raise", "warn" or "ignore".  allow_input_downcast: True casts
    arguments even where precision is lost, None takes Python numbers though they are rounded, False does not.  rebuild_strict: givens
    must have the dtype of what they replace; with False they are cast to it.  no_default_updates: True, or shared variables whose
    default update is left out.  optimizer: "full" or "none" (mode="FAST_RUN" and "FAST_COMPILE" mean the same).  schedule: "auto",
    "cpu" or "gpu".  watch: called with (name, before, after) for every pass.  output: "host", or "device" for results that are device
    arrays; a list or, for a dict of outputs, a dict of these says so for each.  missing_float64: on a device without float64, "raise", or
    "downcast" to compute in float32 what is float64; arguments and results keep their dtype.  max_bytes: the most that a call may
    take of memory, as `f.memory` counts it; steps are reordered and run again until they fit, or the call is refused with an
    AllocationError.
    GraphError, DTypeError, RankError or ShapeError for what cannot be compiled.
    """
    options = {**_options(device, optimizer, mode, schedule, name, watch), "max_bytes": _bound(max_bytes)}
    options["missing_float64"] = _choice("missing_float64", missing_float64 or config.missing_float64, ("raise", "downcast"))
    policy = _choice("on_unused_input", on_unused_input or config.on_unused_input, POLICIES)
    specs = [as_input(item, i) for i, item in enumerate(inputs if isinstance(inputs, list | tuple) else [inputs])]
    wanted, form = unpacked(outputs)
    label = name or (wanted[0].name if wanted else None) or "f"
    slots = [slot(spec, label, allow_input_downcast) for spec in specs]
    assembly = assemble(specs, slots, wanted, as_updates(updates), as_givens(givens, rebuild_strict), _excluded(no_default_updates), policy)
    return _built(label, slots, wanted, assembly, form, options, places(output, form.names, len(wanted)))


def _built(label: str, slots: Sequence[Slot], wanted: Sequence[Out], assembly: Assembly, form: Form, options: dict[str, Any],
           stays: tuple[bool, ...]) -> Function:
    leaves = tuple(i.node for i in assembly.graph.inputs)
    program = Program(optimised(assembly.graph, leaves, options), leaves, assembly.n_outputs, options, stays)
    executable, used = backend.build(program, options["device"])
    return Function(label, slots, wanted, assembly, form, program, executable,
                    "numpy" if used == "numpy" else options["device"])


def _options(device: str | None, optimizer: str | None, mode: str | None, schedule: str | None, name: str | None,
             watch: Watch | None) -> dict[str, Any]:
    meant = MODES[_choice("mode", mode, tuple(MODES))] if mode is not None else config.optimizer
    return {"device": backend.device_name(config.device if device is None else device),
            "optimizer": _choice("optimizer", optimizer or meant, ("full", "none")),
            "schedule": _choice("schedule", schedule or config.schedule, ("auto", "cpu", "gpu")),
            "real_rules": config.real_rules, "name": name, "watch": watch}


def _choice(setting: str, value: Any, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise GraphError(f"{setting}={value!r}: expected one of {', '.join(map(repr, choices))}{at(here())}")
    return value


def _bound(most: Any) -> int | None:
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise GraphError(f"max_bytes={most!r}: a whole number of bytes above 0 is needed, or None{at(here())}")
    return most


def _excluded(given: bool | Iterable[Shared]) -> Any:
    if isinstance(given, bool):
        return lambda node: given
    nodes = {s.node for s in given}
    return lambda node: node in nodes


def function(inputs: Any, outputs: Any = None, mode: str | None = None, updates: Any = None, givens: Any = None,
             no_default_updates: bool | Iterable[Shared] = False, accept_inplace: bool = False, name: str | None = None,
             rebuild_strict: bool = True, allow_input_downcast: bool | None = None, profile: Any = None,
             on_unused_input: str | None = None, **options: Any) -> Function:
    """`compile` under its Theano name, with Theano's order of arguments.

    accept_inplace and profile are accepted and change nothing: no op of a graph writes into its inputs.
    """
    return compile(inputs, outputs, mode=mode, updates=updates, givens=givens, no_default_updates=no_default_updates, name=name,
                   rebuild_strict=rebuild_strict, allow_input_downcast=allow_input_downcast, on_unused_input=on_unused_input, **options)


def eval(expression: Out, given: Mapping[Any, Any] | None = None) -> Any:
    """The value of an expression where its symbols, or inputs of these names, have the given values.

    The function is kept on the expression for the next time.  Values of symbols that it does not depend on are left alone.  UseError for
    a key that is neither a symbol nor the name of exactly one input, MissingInputError for an input without a value.
    """
    values = {symbol_of(k, [expression]): v for k, v in (given or {}).items()}
    kept: dict[Any, Function] = expression.tag.__dict__.setdefault("functions", {})
    key = (tuple((s.node.uid, s.index) for s in values), config.device, config.optimizer, config.real_rules)
    if key not in kept:
        kept[key] = compile(list(values), expression, on_unused_input="ignore", name="eval")
    return kept[key](*values.values())
