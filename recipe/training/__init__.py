"""The Trainer: exact loss, exact resumption, checkpoints, signals, processes, the machine."""
