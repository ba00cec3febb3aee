"""Masked pretraining and named-entity recognition on transformers' Trainer: one noun per module."""
