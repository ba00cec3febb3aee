"""Encoders: loading them, and shortcuts that make their training faster."""
