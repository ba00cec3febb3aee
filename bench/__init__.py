"""Measurements of the recipe against plain Trainer scripts; nothing of the recipe imports them."""
