"""Token-mixing operators as functions of tensors: no modules, no configuration."""
