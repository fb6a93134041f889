"""orderflow: the lives of orders that outside providers run."""
