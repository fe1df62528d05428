"""Ops of the user's own: Python functions, C expressions, whole kernels."""
