"""Rewrite rules as data."""
