"""Scores of tags and of masked tokens, and tables of results. No model is needed."""
