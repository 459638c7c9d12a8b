"""Keywords of a training are checked before anything is run."""

import pytest

from scgim.model._module.options import TrainOptions, check_accelerator
from scgim.model._module.plan import GIMTrainingPlan


def sort(max_epochs=None, plan_kwargs=None, minibatches=None, **further):
    return TrainOptions.sort(
        GIMTrainingPlan, max_epochs, "auto", "auto", plan_kwargs, minibatches or {}, further, also={"max_epochs", "rng"}
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_epoch", "did you mean 'max_epochs'"),
        ("random_state", "did you mean 'rng'"),
        ("seed", "did you mean 'rng'"),
        ("copy", "adata.copy()"),
        ("early_stoping", "did you mean 'early_stopping'"),
        ("lr", "plan_kwargs={'lr'"),
        ("eps", "plan_kwargs={'eps'"),
        ("nonsense", "leave it out"),
    ],
)
def test_unknown_keywords_are_refused_with_the_one_that_was_meant(name, meant):
    with pytest.raises(TypeError, match=rf"^{name}: unknown argument") as error:
        sort(**{name: 1})
    assert meant in str(error.value)


def test_settings_of_the_plan_are_checked_too():
    with pytest.raises(TypeError, match="weight_decays: unknown argument; did you mean 'weight_decay'"):
        sort(plan_kwargs={"weight_decays": 1.0})
    assert sort(plan_kwargs={"lr": 0.1, "reduce_lr_on_plateau": True}).plan == {"lr": 0.1, "reduce_lr_on_plateau": True}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"minibatches": {"batch_size": 0}}, "batch_size"),
        ({"minibatches": {"balance": 2.0}}, "balance"),
    ],
)
def test_values_out_of_range_are_refused(settings, name):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        sort(**settings)


def test_an_accelerator_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="^accelerator: .*found no 'tpu'"):
        check_accelerator("tpu")


def test_keywords_go_to_who_reads_them():
    options = sort(
        minibatches={"batch_size": 64, "train_size": None},
        early_stopping=True,
        precision="bf16-mixed",
        pin_memory=True,
        datasplitter_kwargs={"drop_last": 2},
    )
    assert options.loader == {"batch_size": 64, "pin_memory": True, "drop_last": 2}
    assert options.trainer == {"early_stopping": True, "precision": "bf16-mixed"}
