"""Training: the Trainer with exact loss and exact resumption, checkpoints, signals, processes, hardware."""
