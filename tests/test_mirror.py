"""The tests mirror the package: each file has its test at the same place, or the list says where it is tested, and why there."""

from pathlib import Path

import scgim

PACKAGE = Path(scgim.__file__).parent
TESTS = Path(__file__).parent

ELSEWHERE = {
    ("_core/posterior/regulation/test_regulators.py", "the edges of regulators, tested by what they explain"): """
        _core/posterior/regulation/network.py""",
    ("_core/learn/test_regulated.py", "what regulators add to a covariance, and what is taken out"): """
        _core/posterior/regulation/loadings.py""",
    ("_core/features/test_model.py", "a step of FeatureModel, tested through it"): """
        _core/features/backward_map.py _core/features/validate.py""",
    ("_core/learn/test_fit_search.py", "a step of fit_search, tested by what it recovers"): """
        _core/learn/assemble.py _core/learn/order.py""",
    ("_core/structure/test_score.py", "what the score is made of, and what it gives"): """
        _core/posterior/evidence.py _core/structure/prior.py""",
    ("_core/structure/cycles/test_cyclic.py", "a start, and the fit, of the search that is tested there"): """
        _core/learn/cyclic.py _core/structure/cycles/cyclic_start.py""",
    ("_core/structure/test_order.py", "gives the search its candidates, and makes its moves"): """
        _core/structure/screening.py _core/structure/compiled/moves.py _core/structure/parents.py""",
    ("contracts/test_choices.py", "what goes with what, of all learners and noise models"): """
        _core/allowed.py _core/settings.py _core/learn/base.py _core/learn/learners.py
        model/_published/learner.py model/_training/choices.py""",
    ("contracts/test_mechanisms.py", "kept by every mechanism"): "_core/mechanisms/base.py _core/mechanisms/linear.py",
    ("contracts/test_observations.py", "kept by every noise model"): """
        _core/observation/base.py _core/observation/gaussian.py""",
    (
        "datasets/test_simulate.py",
        "a step of the simulator, whose cells are tested against the truth that it stores",
    ): """
        datasets/_simulator/arguments.py datasets/_simulator/assemble.py datasets/_simulator/disturbance.py datasets/_simulator/drugs.py datasets/_simulator/graphs.py
        datasets/_simulator/mechanisms.py datasets/_simulator/plan.py datasets/_simulator/systems.py datasets/_simulator/truth.py""",
    ("datasets/test_simulate_realism.py", "counts and zeros, rows and features of the simulator"): """
        datasets/_simulator/observe.py datasets/_simulator/rows.py""",
    ("datasets/test_faults.py", "what all faults share"): "datasets/_simulator/fault.py",
    ("get/test_targets.py", "reads the tables that the public functions give"): "get/_tables.py",
    ("metrics/baselines/test_inputs.py", "learners by the same claims, and the names of drugs as features"): """
        metrics/baselines/_indicators.py metrics/baselines/_mlp.py metrics/baselines/_ridge.py""",
    ("metrics/baselines/test_control.py", "the mean over other contexts"): "metrics/baselines/_training_mean.py",
    ("model/_gim/test_gim.py", "a part of the model class, tested through it"): """
        model/_module/plan.py model/_prediction/feature_map.py model/_prediction/forecast.py model/_prediction/stream.py
        model/_training/history.py""",
    ("model/_gim/test_levels.py", "levels are registered and named by the model class"): "model/_study/levels.py",
    ("model/_gim/test_observation.py", "what data a noise model refuses, asked of the model class"): """
        model/_study/observation.py""",
    ("model/_module/test_expectation.py", "what the expectation reads, and the kinds that it knows"): """
        model/_module/kinds.py model/_module/residuals.py""",
    ("model/_training/test_refine.py", "a step of the second stage, tested by what it recovers and saves"): """
        model/_module/closed_form.py model/_module/export.py model/_neural/start.py""",
    ("model/_prediction/test_predictor.py", "requests are made to be answered; noise is abducted from a fit"): """
        model/_prediction/cells.py model/_prediction/known.py model/_prediction/request.py model/_prediction/resolve.py _core/kinds/abduct.py""",
    ("model/_asking/test_intervene.py", "populations, and the answers to what is asked of them"): """
        model/_asking/answer.py model/_asking/operated.py model/_asking/population.py""",
    ("model/_asking/test_suggest.py", "the moves and states among which it chooses"): """
        model/_asking/moves.py model/_asking/state.py""",
    ("model/_published/test_fit.py", "the training plan of the estimator"): "model/_published/plan.py",
    ("model/_reading/test_passes.py", "reads the blocks of a pass"): """
        model/_reading/expression.py""",
    ("model/_module/test_networks.py", "a form of the mechanisms, and what all forms share"): """
        model/_module/genes.py model/_module/neural_genes.py""",
    ("model/_gim/test_gim.py", "the first stage of training"): "model/_training/search.py",
    ("model/_saving/test_save.py", "the file that is saved"): "model/_saving/archive.py",
    ("model/_study/test_contexts.py", "columns and their meaning, from which contexts follow"): """
        model/_reading/columns.py model/_reading/spec.py""",
    ("model/_study/test_setup.py", "a step of the registration"): """
        model/_study/features.py model/_study/fields.py model/_study/screen.py model/_study/study.py""",
    ("pl/test_mechanisms.py", "a part of the picture, or shared by all of them"): """
        pl/_data.py pl/_downstream.py pl/_overview.py""",
    ("pl/test_graph.py", "draws a network"): "pl/_network.py",
    ("pp/test_encode_doses.py", "reads units, and checks columns as all of pp does"): "pp/_columns.py pp/_units.py",
    ("tl/test_diagnose.py", "draws its tables"): "pl/_diagnostics.py",
    (
        "tl/test_evaluate.py",
        "held-out contexts, their moments and predictions, and the controls, which are scored",
    ): """
        tl/_evaluation/held_out.py tl/_evaluation/moments.py tl/_evaluation/predicted.py tl/_evaluation/training.py""",
    ("tl/test_fit.py", "a step of tl.fit: copies, seeds, display, results"): """
        tl/_fitting/light.py tl/_fitting/seed.py""",
    ("tl/test_report.py", "fills the page"): "tl/_report_page/content.py",
    ("test_wrong_calls.py", "every check, by what it says of wrong calls"): "_checks.py _check_basics.py",
    ("test_import_time.py", "names alone"): "_version.py model/_reading/keys.py",
}
"""Sources that are tested in the file of another, by that file and the reason."""
BESIDE = {
    "benchmarks": "scripts beside the package",
    "contracts": "what all members of a family keep",
    "datasets/test_simulate_realism.py": "what the simulator adds to the published protocol",
    "test_add_a_kind.py": "a page of the documentation",
    "model/_saving/test_old_files.py": "files of earlier versions",
    "interop": "what other packages read",
    "pl/test_pictures.py": "all pictures, as they look",
    "test_docs.py": "the documentation",
    "test_docs_code.py": "the documentation",
    "test_tutorials.py": "the tutorials",
    "test_links.py": "the documentation",
    "test_examples.py": "every public function",
    "test_import_time.py": "the package as a whole",
    "test_layers.py": "the package as a whole",
    "test_mirror.py": "the tests themselves",
    "test_readme.py": "the README",
    "test_repository.py": "the repository",
    "test_same_numbers.py": "the package as a whole",
    "test_cli_damage.py": "every command, on damaged files",
    "test_wrong_calls.py": "every public function",
}
"""Tests that are of no single source."""


def sources() -> set[str]:
    """Files of the package; an ``__init__`` only names what is beside it."""
    return {p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py") if p.name != "__init__.py"}


def places(source: str) -> list[str]:
    """Where the tests of a file may be: in a file or a folder of its name, or in one file for its whole folder."""
    path = Path(source)
    own = [path.with_name(f"test_{path.stem.lstrip('_')}.py"), path.with_suffix("")]
    return [p.as_posix() for p in (*own, *(folder.with_name(f"test_{folder.name}.py") for folder in path.parents[:-1]))]


def files_of_tests() -> set[str]:
    return {p.relative_to(TESTS).as_posix() for p in TESTS.rglob("test_*.py")}


def listed() -> dict[str, str]:
    """Test file of each source that is tested elsewhere."""
    return {source: test for (test, _), names in ELSEWHERE.items() for source in names.split()}


def test_every_source_has_its_test_or_is_listed() -> None:
    without = {s for s in sources() if not any((TESTS / place).exists() for place in places(s))}
    assert without - set(listed()) == set(), "add a test at the same place, or a reason to ELSEWHERE"


def test_the_list_is_not_out_of_date() -> None:
    assert set(listed()) <= sources()
    assert set(listed().values()) <= files_of_tests()
    own = {s for s in listed() if any((TESTS / place).exists() for place in places(s))}
    assert own == set(), "these have a test of their own now"


def test_every_test_is_of_a_source_or_says_of_what() -> None:
    mirrored = {place for source in sources() for place in places(source)}
    other = {
        test
        for test in files_of_tests()
        if test not in mirrored and not any(p.as_posix() in mirrored for p in Path(test).parents)
    }
    assert {t for t in other if t not in BESIDE and Path(t).parts[0] not in BESIDE} == set()
    assert all((TESTS / name).exists() for name in BESIDE)
