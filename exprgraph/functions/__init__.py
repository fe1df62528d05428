"""Functions composed of rows."""
