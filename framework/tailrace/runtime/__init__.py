"""Running tasks: the loop, processes and their supervision, restarts, state."""
