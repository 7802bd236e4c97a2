"""The worker's HTTP API, in a process of its own beside the tasks."""
