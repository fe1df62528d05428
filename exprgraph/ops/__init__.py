"""The op tables: rows by theme."""
