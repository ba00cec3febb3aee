"""Measurements: the recipe against plain Trainer scripts, and what raises F1; nothing of the recipe imports them."""
