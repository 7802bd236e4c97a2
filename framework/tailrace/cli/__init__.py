"""The commands: data on stdout, logs and errors on stderr.

Exit codes: 0 done, 1 failed, 2 bad usage or config, 3 stopped by a fatal task. Modules here import nothing heavy at
the top, so that `--help` is quick; each command imports what it needs.
"""
