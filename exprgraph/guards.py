"""NanGuardMode: what is computed is tested for NaN, infinities and large values, and the first that is wrong is named."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph.dtypes import is_float
from exprgraph.errors import GuardFault, at
from exprgraph.graph import reuse, transform
from exprgraph.labels import leaf_text, number_text, op_text, short
from exprgraph.modes import BIG, Guard
from exprgraph.node import Node, Out, Refusal, make_constant
from exprgraph.ops.arithmetic import absolute
from exprgraph.ops.bits import invert, or_
from exprgraph.ops.compare import gt, isinf, isnan, le
from exprgraph.ops.rows import row
from exprgraph.program import Executable, Outer, Program
from exprgraph.reference import Array, One, evaluate
from exprgraph.resident import DeviceArray

UNTESTED = ("leaf", "view", "source", "gather")
"""Kinds of nodes that compute nothing."""


def _refuses(inputs: tuple[Out, ...], what: str, nan: bool, inf: bool, big: bool) -> list[Refusal]:
    x, = inputs
    limit = make_constant(BIG, x.dtype)
    if nan and inf and big:
        wrong = invert(le(absolute(x), limit))
    else:
        found = [test(x) for wanted, test in ((nan, isnan), (inf and not big, isinf)) if wanted]
        if big:
            found.append(gt(absolute(x), limit) if inf else invert(or_(le(absolute(x), limit), or_(isnan(x), isinf(x)))))
        wrong = found[0] if len(found) == 1 else or_(*found)
    message = f"NanGuardMode: {what} gave a value that is not allowed".replace("{", "{{").replace("}", "}}")
    return [Refusal(wrong, make_constant(0, "int64"), message, GuardFault)]


guard = row("guard", lambda x, what, nan, inf, big: np.array(x), "{0}", None, refuses=_refuses, flags="unmergeable",
            infer=lambda inputs, **params: (inputs[0].type,), doc="x, where none of its values is one that NanGuardMode refuses.")
"""A row of kernels' only: it is in no table, since it has no gradient and is put into graphs after all passes."""


def guarded(outputs: Sequence[Out], mode: Guard) -> tuple[Out, ...]:
    """The outputs with a test behind every node that computes floats."""
    if not any(mode):
        return tuple(outputs)

    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        made = reuse(node, inputs)
        if node.op.kind in UNTESTED or node.op is guard or len(node.outs) != 1 or not is_float(made.dtype):
            return made
        params = {"what": short(op_text(node)), "nan": mode.nan, "inf": mode.inf, "big": mode.big}
        return guard.apply((made,), tuple(sorted(params.items())), node.sources)
    return transform(outputs, change)


def fault(value: Array, mode: Guard) -> str | None:
    """What is wrong with a value, where something is."""
    if value.dtype.kind not in "fc" or not value.size:
        return None
    with np.errstate(all="ignore"):
        tests: list[tuple[bool, str, Callable[[Array], Array]]] = [
            (mode.nan, "NaN", np.isnan), (mode.inf, "inf", np.isinf),
            (mode.big, f"above {BIG:g}", lambda v: np.isfinite(v) & (np.abs(v) > BIG))]
        wrong = [(word, test(value)) for wanted, word, test in tests if wanted]
    counts = [f"{int(w.sum())} {word}" for word, w in wrong if w.any()]
    if not counts:
        return None
    first = np.unravel_index(int(np.argmax(np.logical_or.reduce([w for _, w in wrong]))), value.shape)
    return f"{' and '.join(counts)} among {value.size} values, the first at {tuple(map(int, first))}"


def about(value: Array) -> str:
    """The dtype, the shape and the range of an array; how many of its values are NaN and infinite."""
    kind = f"{value.dtype.name} {value.shape}"
    if value.dtype.kind not in "biuf" or not value.size:
        return kind
    with np.errstate(all="ignore"):
        finite = value[np.isfinite(value)] if value.dtype.kind == "f" else value
        odd = [(int(np.isnan(value).sum()), "NaN"), (int(np.isinf(value).sum()), "inf")] if value.dtype.kind == "f" else []
    span = [f"from {number_text(finite.min())} to {number_text(finite.max())}"] if finite.size else []
    return ", ".join([kind, *span, *(f"{n} {word}" for n, word in odd if n)])


def tested(mode: Guard, one: One, node: Node, inputs: list[Array]) -> tuple[Array, ...]:
    """The values of a node; GuardFault, with the ranges of its inputs, where one is not allowed."""
    found = one(node, inputs)
    problem = next((p for v in found if (p := fault(v, mode))), None) if node.op.kind not in UNTESTED else None
    if problem is not None:
        lines = [f"\n  {_called(i)}: {about(v)}" for i, v in zip(node.inputs, inputs)]
        raise GuardFault(f"NanGuardMode: {op_text(node)}{f' = {node.name}' if node.name else ''} gave {problem}; its inputs are"
                         f"{''.join(lines)}{at(node.source)}")
    return found


def _called(out: Out) -> str:
    return leaf_text(out) if out.node.op.kind == "leaf" else f"{out.name or 'the result of ' + op_text(out.node)}"


class Guarded(Outer):
    """The executable of a program in NanGuardMode: arguments are tested first; what a kernel finds is looked for by NumPy, to name it."""

    def __init__(self, program: Program, inner: Executable, mode: Guard) -> None:
        super().__init__(inner)
        self.program, self.mode = program, mode

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run; GuardFault."""
        arrays = {n: v if isinstance(v, np.ndarray) else np.asarray(v.host()) for n, v in zip(self.program.leaves, values)}
        for node, value in arrays.items():
            if (problem := fault(value, self.mode)) is not None:
                raise GuardFault(f"NanGuardMode: the argument {leaf_text(Out(node))} has {problem}: {about(value)}{at(node.source)}")
        try:
            found = self.inner(values)
            for value in found:
                if isinstance(value, DeviceArray):
                    value.wait()
            return found
        except GuardFault as error:
            if "its inputs are" in str(error):
                raise
            self._named(arrays, error)
            raise

    def _named(self, arrays: Mapping[Node, Array], found: GuardFault) -> None:
        """The fault as NumPy meets it; none where its values are all right, since kernels round otherwise."""
        try:
            evaluate(self.program.graph.outputs, arrays, around=lambda one, node, inputs: tested(self.mode, one, node, inputs))
        except GuardFault as error:
            raise error from None
        except Exception:  # a kernel of the user's own without a meaning, for example: what the kernel's flag says has to do
            return
