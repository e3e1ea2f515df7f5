"""Logging an account in: what the creator gives, what upstream answers, and the steps between (contract 9)."""
