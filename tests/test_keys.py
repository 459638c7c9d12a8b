from scgim import _keys


def test_table_lists_every_key_once():
    table = _keys.markdown_table()
    paths = [key.path() for key in _keys.FIT]
    assert len(set(paths)) == len(paths) == table.count("\n") - 1
    assert all(f"`{path}`" in table for path in paths)


def test_names_follow_key_added():
    assert _keys.EFFECT.path("mine") == '.varm["mine_effect"]'
    assert _keys.TARGETS.path("mine") == '.uns["mine"]["targets"]'
