"""What can be fitted: configurations, fits and fitted models, on arrays and row sources alone. A family a package."""
