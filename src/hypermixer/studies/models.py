"""The models of the HyperMixer paper, as variants of one encoder, with the numbers that it prints for them."""

from dataclasses import dataclass

from hypermixer.studies.grid import Variant

#: Columns of the paper's tables.
TASKS = ("MNLI", "SNLI", "QQP", "QNLI", "SST")


@dataclass(frozen=True)
class Printed:
    """Accuracies in percent, by `TASKS`; None where the paper has none.

    Attributes:
        validation: mean over ten seeds (Tables 1 and 5).
        deviation: of those seeds.
        best_seed: test accuracy of the seed that was best on validation (Table 1).
        median_seed: test accuracy of the median seed (Table 4).
        grid: validation accuracy of the best learning rate, one seed (Table 3).
        lrs: that learning rate.
        millions: of parameters.
    """

    validation: tuple[float, ...]
    deviation: tuple[float, ...]
    millions: float
    best_seed: tuple[float, ...] | None = None
    median_seed: tuple[float, ...] | None = None
    grid: tuple[float, ...] | None = None
    lrs: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Model:
    """A model and what the paper prints for it."""

    variant: Variant
    printed: Printed


FNET = Model(
    Variant("FNet", "fnet"),
    Printed(
        (59.7, 75.3, 79.4, 59.9, 79.7),
        (0.27, 0.46, 0.28, 0.46, 0.71),
        9.5,
        (59.8, 75.3, 78.4, 59.6, 80.0),
        (58.8, 75.2, 78.4, 59.0, 80.2),
        (59.6, 75.1, 79.7, 59.2, 80.4),
        (5e-4, 1e-3, 1e-3, 5e-4, 1e-3),
    ),
)
LINEAR_TRANSFORMER = Model(
    Variant("Linear Transformer", "linear_attention"),
    Printed(
        (66.9, 82.7, 81.7, 61.3, 80.5),
        (0.48, 0.22, 0.28, 0.29, 0.46),
        11,
        (66.9, 83.0, 82.3, 61.7, 80.8),
        (67.0, 81.9, 82.3, 61.0, 82.5),
        (66.2, 82.2, 81.7, 61.1, 80.7),
        (1e-3, 1e-3, 5e-4, 1e-4, 2e-4),
    ),
)
TRANSFORMER = Model(
    Variant("Transformer", "attention"),
    Printed(
        (65.4, 80.9, 82.8, 67.3, 79.0),
        (0.51, 0.40, 0.22, 2.03, 0.86),
        11,
        (65.8, 80.7, 82.4, 73.2, 79.4),
        (64.9, 81.1, 82.1, 67.1, 77.7),
        (66.0, 81.2, 82.9, 65.4, 78.9),
        (2e-4, 2e-4, 2e-4, 5e-4, 5e-4),
    ),
)
MLP_MIXER = Model(
    Variant("MLPMixer", "mlp_mixer"),
    Printed(
        (63.9, 79.6, 83.7, 68.1, 80.1),
        (0.34, 0.11, 0.42, 2.10, 0.67),
        11,
        (62.9, 80.1, 83.5, 70.5, 81.2),
        (62.6, 79.7, 83.2, 69.1, 80.8),
        (64.2, 80.5, 83.6, 68.7, 82.3),
        (1e-3, 1e-3, 1e-3, 5e-5, 1e-3),
    ),
)
GMLP = Model(
    Variant("gMLP", "gmlp"),
    Printed(
        (60.8, 80.5, 82.8, 60.5, 78.7),
        (0.95, 0.55, 0.21, 0.49, 0.74),
        11,
        (61.2, 80.9, 82.5, 60.2, 79.5),
        (62.9, 79.9, 82.3, 60.0, 78.5),
        (61.5, 80.9, 83.0, 61.1, 79.2),
        (1e-3, 2e-4, 5e-4, 5e-5, 1e-4),
    ),
)
HYPERMIXER = Model(
    Variant("HyperMixer", "hypermixing"),
    Printed(
        (66.2, 81.9, 85.6, 78.0, 80.7),
        (0.21, 0.27, 0.20, 0.19, 0.84),
        11,
        (66.1, 81.7, 84.1, 77.1, 81.4),
        (64.9, 81.0, 83.9, 76.8, 80.9),
        (66.5, 81.8, 85.4, 77.5, 81.3),
        (1e-4, 2e-4, 1e-4, 5e-5, 5e-4),
    ),
)
FEATURE_ONLY = Model(
    Variant("Feature mixing only", "none"),
    Printed(
        (54.5, 67.0, 75.9, 60.8, 79.7),
        (0.25, 0.14, 0.06, 0.42, 0.64),
        9,
        grid=(54.4, 67.2, 75.9, 61.0, 81.8),
        lrs=(1e-3, 5e-4, 1e-3, 1e-3, 5e-4),
    ),
)
TOKEN_ONLY = Model(
    Variant("Token mixing only", "hypermixing", (("encoder.feature_mixing", False),)),
    Printed(
        (59.0, 74.5, 79.5, 61.8, 76.3),
        (0.79, 5.53, 4.63, 1.29, 4.94),
        10,
        grid=(59.5, 73.6, 81.7, 61.8, 80.1),
        lrs=(2e-4, 2e-4, 2e-4, 2e-4, 5e-4),
    ),
)
SHARED_VECTOR = Model(
    Variant("Shared weight-vector", "shared_vector"),
    Printed(
        (57.1, 74.3, 82.9, 65.9, 79.8),
        (2.38, 1.96, 0.10, 0.42, 0.52),
        9.5,
        grid=(53.7, 68.1, 83.0, 66.4, 80.5),
        lrs=(5e-4, 1e-3, 1e-3, 5e-5, 1e-3),
    ),
)
UNTIED = Model(
    Variant("HyperMixer, untied", "hypermixing", (("mixer.tied", False),)),
    Printed(
        (65.8, 81.7, 84.8, 73.3, 80.3),
        (0.46, 0.30, 0.23, 0.53, 0.35),
        12,
        grid=(66.0, 82.3, 84.6, 72.2, 81.3),
        lrs=(1e-3, 1e-3, 1e-3, 5e-5, 1e-3),
    ),
)

#: Table 1, and the ablations of Table 5.
MAIN = (FNET, LINEAR_TRANSFORMER, TRANSFORMER, MLP_MIXER, GMLP, HYPERMIXER)
ABLATIONS = (FEATURE_ONLY, TOKEN_ONLY, SHARED_VECTOR, UNTIED, HYPERMIXER)
