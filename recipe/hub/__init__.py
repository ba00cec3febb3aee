"""Publishing a run: its record, its model card, pushes to the Hub."""
