"""Functions and kernels of the user's own with the numbers of one call."""
from __future__ import annotations

from codegen.plan import OwnCall
from exprgraph.errors import Source
from exprgraph.own.op import Own
from runtime.actions import OwnAction
from runtime.device import Session
from runtime.memory import Array, View


def own_action(step: OwnCall, inputs: tuple[View, ...], outputs: tuple[View, ...], sizes: tuple[int, ...], session: Session) -> OwnAction:
    """The action of a step."""
    return OwnAction(_function(step.own, step.source), inputs, outputs)


def _function(own: Own, source: Source | None) -> object:
    def call(inputs: tuple[Array, ...], outputs: tuple[Array, ...]) -> None:
        for out, result in zip(outputs, own.run(inputs, [o.shape for o in outputs], source)):
            out[...] = result
    return call
