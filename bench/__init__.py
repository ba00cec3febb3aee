"""Measurements: speed compared to plain Trainer scripts, and a study of entity F1. The recipe does not import them."""
