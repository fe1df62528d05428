"""Contractions: C[..., i, j] = sum over k of A[..., i, k] * B[..., k, j], tiled, with what follows spliced into the last step."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.kernel import Kernel, Param
from codegen.lower.packed_cpu import packed
from codegen.lower.product_parts import Contraction
from codegen.lower.tile_gpu import tiled
from codegen.target import Target

__all__ = ["Contraction", "contraction"]


def contraction(name: str, params: Sequence[Param], what: Contraction, target: Target) -> Kernel:
    """The scheduled kernel: square tiles in local memory on a GPU, packed register tiles over chunks on a CPU.

    Its parameters are `params` and then the scratch memory that it wants.
    """
    if target.schedule == "gpu":
        return Kernel(name, tuple(params), tiled(what, target))
    scratch, body = packed(what, target)
    return Kernel(name, (*params, *scratch), body)
