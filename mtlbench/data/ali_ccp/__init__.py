"""Ali-CCP in its published forms: the raw skeleton with common features, and tables of encoded ids."""
