import pandas as pd

from scgim.tl._fitting.results import history_table


def test_scores_name_their_search_and_metrics_the_training() -> None:
    history = {name: pd.DataFrame({name: values}) for name, values in {"search_score": [1, 2, 3], "loss": [4]}.items()}
    table = history_table(history, ["search 1", "search 2", "search 2"])
    assert table["stage"].tolist() == ["search 1", "search 2", "search 2", "training"]
    assert history_table(history)["stage"].tolist() == ["search"] * 3 + ["training"]
