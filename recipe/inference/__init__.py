"""A model's logits -> tags with confidences."""
