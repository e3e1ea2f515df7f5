"""Benches of the running gateway beside bare mitmdump; `scripts/bench --help`."""
