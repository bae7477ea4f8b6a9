"""One variational autoencoder."""
