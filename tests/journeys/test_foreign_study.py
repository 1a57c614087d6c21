"""Somebody has an Optuna study already and wants to know what it says."""

import optuna


def test_an_optuna_study_is_explained_where_it_lies(me):
    storage = f"sqlite:///{me.folder}/mine.db"
    study = optuna.create_study(
        storage=storage, study_name="mine", sampler=optuna.samplers.RandomSampler(seed=0)
    )

    def objective(trial):
        lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
        trial.suggest_int("depth", 1, 8)
        kind = trial.suggest_categorical("kind", [None, "None"])
        return (lr - 0.1) ** 2 + 0.2 * (kind is None)

    study.optimize(objective, n_trials=50)
    before = (me.folder / "mine.db").read_bytes()
    said = me.types("explain", "mine", "--storage", storage)
    assert "lr" in said
    assert 'use "None"' in said
    me.types("explain", "mine", "--storage", storage, "--output", "mine.html")
    assert "<html" in (me.folder / "mine.html").read_text()
    assert (me.folder / "mine.db").read_bytes() == before  # nothing of theirs was changed
