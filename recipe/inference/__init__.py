"""Logits of a model -> tags with confidences."""
