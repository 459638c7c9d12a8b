"""Set-up of AnnData and MuData: checks, the fields of the AnnDataManager, and the `Study` behind them (layer `model`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scvi import REGISTRY_KEYS

from scgim.model._reading.expression import joint_names
from scgim.model._reading.keys import CONTEXT_KEY, SIZE_FACTOR_KEY
from scgim.model._reading.spec import Spec, make_spec
from scgim.model._study.contexts import Contexts
from scgim.model._study.features import Features
from scgim.model._study.fields import ContextField, ExpressionField, NumericField
from scgim.model._study.validation import check_matrices, validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from scvi.data.fields import BaseAnnDataField

    from scgim._core.design import Design

CONTINUOUS_KEY = REGISTRY_KEYS.CONT_COVS_KEY


def expression_keys(spec: Spec) -> list[str]:
    """Registry key of the matrix of each modality: ``"X"``, then ``"X_<modality>"``."""
    first, *others = spec.layers
    return ["X", *(f"X_{modality}" for modality in others)]


def make_fields(data: Any, spec: Spec, source_registry: dict | None) -> list[BaseAnnDataField]:
    """Fields to register, after all checks; nothing is written here.

    Parameters
    ----------
    data
        AnnData or MuData.
    spec
        What is to be registered.
    source_registry
        Registry of a saved model: the data are matched to it, and may lack its controls or features.
    """
    if source_registry is None:
        contexts, features, summary = validate(data, spec)
    else:
        check_matrices(data, spec)
        contexts, features, summary = None, None, None
    fields: list[BaseAnnDataField] = [
        ExpressionField(key, layer, modality, summary)
        for key, (modality, layer) in zip(expression_keys(spec), spec.layers.items(), strict=True)
    ]
    fields.append(ContextField(spec, contexts, features))
    if spec.continuous:
        fields.append(NumericField(CONTINUOUS_KEY, spec, spec.continuous))
    if spec.size_factor:
        fields.append(NumericField(SIZE_FACTOR_KEY, spec, (spec.size_factor,)))
    return fields


def anndata_spec(arguments: Mapping[str, Any]) -> Spec:
    """`Spec` from the arguments of `setup_anndata`."""
    arguments = dict(arguments)
    layer = arguments.pop("layer", None)
    return make_spec(**arguments, layers={None: layer})


def mudata_spec(arguments: Mapping[str, Any], names: tuple[str, ...]) -> Spec:
    """`Spec` from the arguments of `setup_mudata`.

    Parameters
    ----------
    arguments
        Arguments of the call; ``modalities["layer"]`` names the modalities that are modelled.
    names
        Modalities of the object.
    """
    arguments = dict(arguments)
    layer, modalities = arguments.pop("layer", None), dict(arguments.pop("modalities", None) or {})
    chosen = modalities.pop("layer", None) or list(names)
    chosen = [chosen] if isinstance(chosen, str) else list(chosen)
    columns = {k: v for k, v in modalities.items() if v is not None}
    allowed = set(arguments) - {"control", "features_key"}
    wrong = sorted(set(columns) - allowed)
    if wrong:
        raise ValueError(f"modalities: unknown argument(s) {wrong}; expected 'layer' or some of {sorted(allowed)}.")
    for name in [*chosen, *columns.values()]:
        if name not in names:
            raise KeyError(f"modalities: {name!r} is not a modality of mdata; found {list(names)}.")
    if isinstance(layer, dict):
        strange = sorted(set(layer) - set(chosen))
        if strange:
            raise KeyError(
                f"layer: {strange} are not modelled, expected some of {chosen}; add them to modalities['layer']."
            )
        layers = {name: layer.get(name) for name in chosen}
    else:
        layers = dict.fromkeys(chosen, layer)
    return make_spec(**arguments, layers=layers, modalities=columns)


def spec_of(registry: dict) -> Spec:
    """The `Spec` that a registry was made with."""
    arguments = registry["setup_args"]
    if registry.get("setup_method_name") == "setup_mudata":
        return mudata_spec(arguments, tuple(registry["setup_args"]["modalities"]["layer"]))
    return anndata_spec(arguments)


@dataclass(frozen=True)
class Study:
    """What a registry tells without the data: N cells in K contexts, of C baseline groups, with G genes."""

    spec: Spec  # what was registered
    table: pd.DataFrame  # one row a context: the registered columns, with doses in the user's unit, and `n_cells`
    design: Design  # drugs, doses and baseline groups of the contexts
    groups: pd.DataFrame  # (C, covariates) covariate values of each baseline group, as str
    features: Features | None  # features of drugs or contexts, or None
    genes: list[str]  # names of the G modelled variables
    modality: list[str | None]  # modality of each of them; None for AnnData
    counts: bool  # whether the values are raw counts
    # range of the values, in units of the modelled expression; NaN where a registry does not tell
    smallest: float = float("nan")
    largest: float = float("nan")
    types: dict[str, tuple[str, bool]] = field(default_factory=dict)  # of labels that are numbers, see `Contexts`

    @classmethod
    def of(cls, registry: dict) -> Study:
        """Everything registered, from a registry alone."""
        fields, spec = registry["field_registries"], spec_of(registry)
        state = fields[CONTEXT_KEY]["state_registry"]
        parts = {m: fields[key]["state_registry"] for m, key in zip(spec.layers, expression_keys(spec), strict=True)}
        named = [(modality, name) for modality, part in parts.items() for name in part["column_names"]]
        contexts = Contexts.from_state(state)
        return cls(
            spec=spec,
            table=contexts.table,
            design=contexts.design,
            groups=contexts.groups,
            features=None if state["features"] is None else Features.from_state(state["features"]),
            genes=joint_names(named),
            modality=[modality for modality, _ in named],
            counts=all(bool(part["counts"]) for part in parts.values()),
            smallest=min(_number(part.get("smallest")) for part in parts.values()),
            largest=max(_number(part.get("largest")) for part in parts.values()),
            types=contexts.types,
        )


def _number(value: float | None) -> float:
    """NaN for what is not known."""
    return float("nan") if value is None else value
