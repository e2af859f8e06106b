"""What a result costs: E, D and H of Cost(R) ~ E * D * H (HyperMixer, arXiv 2203.03691; Schwartz et al. 2020)."""
