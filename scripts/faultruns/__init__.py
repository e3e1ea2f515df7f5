"""`scripts/faults`: traffic of every kind while processes are killed and upstream, store, rules and receivers misbehave.

At the end everything that was acknowledged must be there, once.
"""
