"""What all families of autoencoders are made of."""
