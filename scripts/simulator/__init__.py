"""A stateful simulated OnlyFans for the demo and the tests: API, CDN, object storage and login on loopback ports."""

from __future__ import annotations

from scripts.simulator.faults import Fault
from scripts.simulator.server import Simulator
from scripts.simulator.world import Options, World

__all__ = ["Fault", "Options", "Simulator", "World"]
