"""A pretrained Transformer becomes an encoder of this library: weights are taken over, and its attention is taught."""
