"""Contractions: C[..., i, j] = sum over k of A[..., i, k] * B[..., k, j], tiled, with what follows spliced into the last step."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.kernel import Kernel, Param
from codegen.lower.packed_cpu import packed
from codegen.lower.product_parts import Contraction
from codegen.lower.tile_gpu import tiled
from codegen.schedule.common import used
from codegen.target import Target

__all__ = ["Contraction", "contraction"]


def contraction(name: str, params: Sequence[Param], what: Contraction, target: Target) -> tuple[Kernel, ...]:
    """The scheduled kernels, in order: square tiles in local memory on a GPU; on a CPU what packs the factors and what multiplies.

    Their parameters are those of `params` that they use and then the scratch memory that they share.
    """
    if target.schedule == "gpu":
        return (Kernel(name, tuple(params), tiled(what, target)),)
    return tuple(k._replace(params=(*used(params, k.body), *k.params)) for k in packed(name, what, target))
