"""The names of `theano.printing`, for whoever ports from there: Print, pp, debugprint, pydotprint."""
from __future__ import annotations

from exprgraph.ops.markers import Print
from exprgraph.show import debugprint, pp, pydotprint

__all__ = ["Print", "debugprint", "pp", "pydotprint"]
