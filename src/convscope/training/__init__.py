"""From a network and a data set to a trained network, with everything that was measured on the way."""
