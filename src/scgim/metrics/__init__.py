"""Scores of graphs, targets and predictions against a truth, and simple baselines; numpy arrays in, numbers out."""

from scgim.metrics import baselines
from scgim.metrics._graphs.edge_average_precision import edge_average_precision
from scgim.metrics._graphs.edge_f1 import edge_f1
from scgim.metrics._graphs.structural_hamming_distance import structural_hamming_distance
from scgim.metrics._graphs.structural_intervention_distance import structural_intervention_distance
from scgim.metrics._predictions.centroid_accuracy import centroid_accuracy
from scgim.metrics._predictions.direction_agreement import direction_agreement
from scgim.metrics._predictions.energy_distance import energy_distance
from scgim.metrics._predictions.mean_distance import mean_distance
from scgim.metrics._predictions.pearson_mean_change import pearson_mean_change
from scgim.metrics._predictions.sinkhorn_wasserstein import sinkhorn_wasserstein
from scgim.metrics._predictions.sliced_wasserstein import sliced_wasserstein
from scgim.metrics._predictions.top_gene_overlap import top_gene_overlap
from scgim.metrics._predictions.weighted_error import weighted_error
from scgim.metrics._targets.calibration_error import calibration_error
from scgim.metrics._targets.mean_reciprocal_rank import mean_reciprocal_rank
from scgim.metrics._targets.recall_at import recall_at
from scgim.metrics._targets.reliability_table import reliability_table
from scgim.metrics._targets.target_average_precision import target_average_precision
from scgim.metrics._targets.target_f1 import target_f1

__all__ = [
    "baselines",
    "calibration_error",
    "centroid_accuracy",
    "direction_agreement",
    "edge_average_precision",
    "edge_f1",
    "energy_distance",
    "mean_distance",
    "mean_reciprocal_rank",
    "pearson_mean_change",
    "recall_at",
    "reliability_table",
    "sinkhorn_wasserstein",
    "sliced_wasserstein",
    "structural_hamming_distance",
    "structural_intervention_distance",
    "target_average_precision",
    "target_f1",
    "top_gene_overlap",
    "weighted_error",
]
