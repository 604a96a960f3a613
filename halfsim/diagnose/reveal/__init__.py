"""How a machine adds, found out from its outputs."""
