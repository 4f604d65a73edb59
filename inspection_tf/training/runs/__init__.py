"""What a training leaves on disk: the run folder, what it was begun with, and checkpoints."""
