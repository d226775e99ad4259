"""The network: torch modules with the equations of the textbook."""
