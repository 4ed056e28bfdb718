"""The demonstration: every part a process of its own, hardware simulated, an arriving crowd, and a page to watch it."""
