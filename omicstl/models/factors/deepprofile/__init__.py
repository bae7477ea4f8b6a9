"""DeepProfile: ensembles of variational autoencoders, their units clustered."""
