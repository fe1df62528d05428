"""sympy's opinion on the scalar expressions of a region: what it makes of one is one more term of its class."""
from __future__ import annotations
