"""Outgoing connections: what they may reach."""
