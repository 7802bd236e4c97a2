"""Logs: where the streams live. `backend` says what a log is; `store` is the one that comes with Tailrace."""
