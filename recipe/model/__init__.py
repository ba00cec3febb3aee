"""Encoders: loading them, and what makes their training cheap."""
