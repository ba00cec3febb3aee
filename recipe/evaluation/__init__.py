"""Scores of tags and of masked tokens, and tables of results. Needs no model."""
