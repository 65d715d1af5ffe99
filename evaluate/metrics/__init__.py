"""How well predictions agree with opinions, and how far their deviations can be trusted."""
