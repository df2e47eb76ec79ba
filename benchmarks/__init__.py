"""How fast spantune is, as ratios: against the usual recipe, against the machine, against itself on more data."""
