"""May a transfer be used? Checks without labels of the target, baselines, and the verdict."""
