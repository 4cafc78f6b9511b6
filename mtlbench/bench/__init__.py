"""How fast it is, measured: results go to `results/speed/`."""
