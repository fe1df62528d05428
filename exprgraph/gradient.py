"""The names of `theano.gradient`, for whoever ports from there: each is that of exprgraph itself, looked up when asked for."""
from __future__ import annotations

import importlib
from typing import Any

from exprgraph.ops.rows import undefined

NAMES = ("DisconnectedInputError", "Lop", "NullTypeGradError", "Rop", "consider_constant", "disconnected_grad", "grad", "grad_clip",
         "grad_scale", "hessian", "jacobian", "subgraph_grad", "undefined_grad", "verify_grad", "zero_grad")


def grad_undefined(op: Any, x_pos: int, x: Any, comment: str = "") -> Any:
    """What the gradient of a row gives for an input with respect to which there is none; Theano's arguments, of which comment is shown."""
    return undefined(comment or "it does not exist")


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module 'exprgraph.gradient' has no attribute {name!r}")
    return getattr(importlib.import_module("exprgraph"), name)
