"""The tests mirror the package: each file has its test at the same place, or the list says where it is tested, and why there."""

from pathlib import Path

import scgim

PACKAGE = Path(scgim.__file__).parent
TESTS = Path(__file__).parent

ELSEWHERE = {
    ("_core/posterior/regulation/test_regulators.py", "the edges of regulators, tested by what they explain"): """
        _core/posterior/regulation/ network""",
    ("_core/learn/test_regulated.py", "what regulators add to a covariance, and what is taken out"): """
        _core/posterior/regulation/ loadings""",
    ("_core/features/test_model.py", "a step of FeatureModel, tested through it"): """
        _core/features/ backward_map validate""",
    ("_core/learn/test_fit_search.py", "a step of fit_search, tested by what it recovers"): """
        _core/learn/ assemble order""",
    ("_core/structure/test_score.py", "what the score is made of, and what it gives"): """
        _core/posterior/ evidence _core/structure/ prior""",
    ("_core/structure/cycles/test_cyclic.py", "a start, and the fit, of the search that is tested there"): """
        _core/learn/ cyclic _core/structure/cycles/ cyclic_start""",
    ("_core/structure/test_order.py", "gives the search its candidates, and makes its moves"): """
        _core/structure/ screening parents _core/structure/compiled/ moves""",
    ("contracts/test_choices.py", "what goes with what, of all learners and noise models"): """
        _core/ allowed settings _core/learn/ base learners model/_published/ learner model/_training/ choices""",
    ("contracts/test_mechanisms.py", "kept by every mechanism"): "_core/mechanisms/ base linear",
    ("contracts/test_observations.py", "kept by every noise model"): "_core/observation/ base gaussian",
    (
        "datasets/test_simulate.py",
        "a step of the simulator, whose cells are tested against the truth that it stores",
    ): """
        datasets/_simulator/ arguments assemble disturbance drugs graphs mechanisms plan systems truth""",
    ("datasets/test_simulate_realism.py", "counts and zeros, rows and features of the simulator"): """
        datasets/_simulator/ observe rows""",
    ("datasets/test_faults.py", "what all faults share"): "datasets/_simulator/ fault",
    ("get/test_targets.py", "reads the tables that the public functions give"): "get/ _tables",
    ("metrics/baselines/test_inputs.py", "learners by the same claims, and the names of drugs as features"): """
        metrics/baselines/ _indicators _mlp _ridge""",
    ("metrics/baselines/test_control.py", "the mean over other contexts"): "metrics/baselines/ _training_mean",
    ("model/_gim/test_gim.py", "a part of the model class, tested through it"): """
        model/_module/ plan model/_prediction/ feature_map forecast stream model/_training/ history""",
    ("model/_gim/test_levels.py", "levels are registered and named by the model class"): "model/_study/ levels",
    ("model/_gim/test_observation.py", "what data a noise model refuses, asked of the model class"): """
        model/_study/ observation""",
    ("model/_module/test_expectation.py", "what the expectation reads, and the kinds that it knows"): """
        model/_module/ kinds residuals""",
    ("model/_training/test_refine.py", "a step of the second stage, tested by what it recovers and saves"): """
        model/_module/ closed_form export model/_neural/ start""",
    ("model/_prediction/test_predictor.py", "requests are made to be answered; noise is abducted from a fit"): """
        _core/kinds/ abduct model/_prediction/ cells known request resolve""",
    ("model/_asking/test_intervene.py", "populations, and the answers to what is asked of them"): """
        model/_asking/ answer operated population""",
    ("model/_asking/test_suggest.py", "the moves and states among which it chooses"): "model/_asking/ moves state",
    ("model/_published/test_fit.py", "the training plan of the estimator"): "model/_published/ plan",
    ("model/_reading/test_passes.py", "reads the blocks of a pass"): "model/_reading/ expression",
    ("model/_gim/test_gim.py", "the first stage of training"): "model/_training/ search",
    ("model/_saving/test_save.py", "the file that is saved"): "model/_saving/ archive",
    ("model/_study/test_contexts.py", "columns and their meaning, from which contexts follow"): """
        model/_reading/ columns spec""",
    ("model/_study/test_setup.py", "a step of the registration"): "model/_study/ features fields screen study",
    ("pl/test_mechanisms.py", "a part of the picture, or shared by all of them"): "pl/ _data _downstream _overview",
    ("pl/test_graph.py", "draws a network"): "pl/ _network",
    ("pp/test_encode_doses.py", "reads units, and checks columns as all of pp does"): "pp/ _columns _units",
    ("tl/test_diagnose.py", "draws its tables"): "pl/ _diagnostics",
    (
        "tl/test_evaluate.py",
        "held-out contexts, their moments and predictions, and the controls, which are scored",
    ): """
        tl/_evaluation/ held_out moments predicted training""",
    ("tl/test_fit.py", "a step of tl.fit: copies, seeds, display, results"): "tl/_fitting/ light seed",
    ("tl/test_report.py", "fills the page"): "tl/_report_page/ content",
    ("test_wrong_calls.py", "every check, by what it says of wrong calls"): "_checks _check_basics",
    ("test_import_time.py", "names alone"): "_version model/_reading/ keys",
}
"""Sources that are tested in the file of another, by that file and the reason; their names follow those of their folders."""
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
    found = {}
    for (test, _), names in ELSEWHERE.items():
        folder = ""
        for name in names.split():
            if name.endswith("/"):
                folder = name
            else:
                found[f"{folder}{name}.py"] = test
    return found


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
