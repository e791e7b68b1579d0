"""How fast Kueue is, and what its queue configurations cost: measurements, with their noise."""
