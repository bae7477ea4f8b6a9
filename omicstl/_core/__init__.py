"""The ground floor: checks, settings, logging, random streams, the table of methods. Knows neither AnnData nor JAX."""
