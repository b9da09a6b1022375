"""Tuning: search one method's settings with Optuna, judged on rows held back, resumed from a study file.

Tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter Optimization",
NIPS 2011). The first trial has the defaults. Each trial's draw depends on the seed, on how many were
finished before and on their figures, so a search that was stopped goes on as if it had not been.
The study file is a journal of JSON lines.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from shortlist.data.interactions import Interactions, check_table
from shortlist.data.protocols import Json
from shortlist.errors import ConfigError, MissingExtraError, ShortlistError, closest
from shortlist.evaluation.judge import judge
from shortlist.metrics.ranking import METRICS
from shortlist.recommender.recommender import Recommender
from shortlist.recommender.rules import Seen
from shortlist.selection.methods import METHODS, Choice, Space, make_method

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

_NAME = "shortlist tune"
_FIRST = 8  # trials by lot before the figures guide


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search found.

    Attributes:
        method: its name.
        metric: what was maximised.
        value: the best.
        best: the settings that reached it.
        table: ``trial``, ``value``, ``seconds``, a column per setting and a ``remark`` where a trial
            failed; those of earlier runs of the study too.
    """

    method: str
    metric: str
    value: float
    best: Mapping[str, Json]
    table: pl.DataFrame

    @property
    def words(self) -> str:
        """The settings as ``shortlist train`` takes them."""
        pairs = [f"--set {name}={_short(value)}" for name, value in self.best.items()]
        return f"--retrieve {self.method} {' '.join(pairs)}"


def tune(
    method: str,
    train: Interactions,
    validate: Interactions,
    *,
    trials: int = 30,
    seconds: float | None = None,
    study: str | Path | None = None,
    metric: str = "ndcg@10",
    keep_seen: bool = False,
    seed: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> Tuned:
    """Search for a method's best settings.

    Args:
        method: one with a search space in ``selection.METHODS``.
        train: rows that every trial is fitted on.
        validate: rows that judge it; use none of a test.
        trials: how many there should be in the end, those in the study file counted.
        seconds: begin no further trial after these, once one is finished; None sets no limit.
        study: file to keep trials in and go on from, or None.
        metric: of lists, higher is better.
        keep_seen: whether lists may hold what their asker has.
        seed: of the search and of the method.
        progress: told the number of finished trials and the best figure after each.

    Returns:
        A Tuned.

    Raises:
        ConfigError: no such method or metric, the study file is of another search, or no trial
            succeeded.
    """
    for given, name in ((train, "train"), (validate, "validate")):
        check_table(given, name)
    _check(method, metric, trials)
    search = _opened(method, study, _identity(method, train, validate, metric, seed, keep_seen))
    until = None if seconds is None else time.perf_counter() + seconds
    space = METHODS[method]
    while (done := len(_finished(search))) < trials:
        if until is not None and _succeeded(search) and time.perf_counter() >= until:
            break
        _seeded(search, seed, done)
        trial = search.ask()
        settings = _asked(trial, space)
        started = time.perf_counter()
        try:
            retriever = make_method(method, seed, **settings)
            rec = Recommender(retriever, rules=() if keep_seen else (Seen(),))
            rec.fit(train, validate=validate)
            report = judge(rec, validate, k=_length(metric), keep_seen=keep_seen, seed=seed)
        except (ShortlistError, MemoryError, np.linalg.LinAlgError) as error:
            trial.set_user_attr("remark", str(error) or type(error).__name__)
            _tell(search, trial, None, started)
        else:
            _tell(search, trial, float(report.estimates[metric].value), started)
        if progress is not None:
            progress(
                len(_finished(search)),
                search.best_value if _succeeded(search) else float("nan"),
            )
    return _tuned(method, metric, search)


def _check(method: str, metric: str, trials: int) -> None:
    able = [name for name, space in METHODS.items() if space]
    if method not in able:
        msg = f"{method!r} has no settings to search; choose among {', '.join(able)}.{closest(method, able)}"
        raise ConfigError(msg)
    if trials < 1:
        msg = f"trials must be at least 1; got {trials}"
        raise ConfigError(msg)
    if metric.partition("@")[0] not in METRICS:
        msg = f"metric must be one of {', '.join(METRICS)} at a length, such as ndcg@10; got {metric!r}"
        raise ConfigError(msg)
    _length(metric)


def _length(metric: str) -> int:
    length = metric.partition("@")[2]
    if not length.isdecimal() or int(length) < 1:
        msg = (
            f"metric must name a length of list of at least 1, such as ndcg@10; got {metric!r}"
        )
        raise ConfigError(msg)
    return int(length)


def _identity(
    method: str,
    train: Interactions,
    validate: Interactions,
    metric: str,
    seed: int,
    keep_seen: bool,  # noqa: FBT001
) -> dict[str, Json]:
    # what must be the same for trials to compare
    space = {name: asdict(bounds) for name, bounds in METHODS[method].items()}
    return {
        "method": method,
        "metric": metric,
        "seed": seed,
        "keep_seen": keep_seen,
        "space": json.loads(json.dumps(space)),
        "train": _fingerprint(train),
        "validation": _fingerprint(validate),
    }


def _fingerprint(rows: Interactions) -> str:
    pairs = rows.table.select("user_id", "item_id").with_columns(liked=pl.Series(rows.liked))
    return hashlib.sha256(pairs.write_csv().encode()).hexdigest()


def _opened(method: str, file: str | Path | None, identity: dict[str, Json]) -> "Study":
    try:
        import optuna
        from optuna.trial import TrialState
    except ModuleNotFoundError:
        msg = "tuning needs Optuna; install it with: pip install 'shortlist[tune]'"
        raise MissingExtraError(msg) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = None
    if file is not None:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        try:
            storage = JournalStorage(JournalFileBackend(str(file)))
        except (OSError, ValueError, KeyError) as error:
            msg = f"{file} cannot be read as a study ({error}); give a file that shortlist tune wrote, or a new one"
            raise ConfigError(msg) from None
    study = optuna.create_study(
        study_name=_NAME, storage=storage, direction="maximize", load_if_exists=True
    )
    held = study.user_attrs.get("search")
    if held is None:
        study.set_user_attr("search", identity)
        study.enqueue_trial(_defaults(method))
    elif held != identity:
        differing = [key for key in identity if held.get(key) != identity[key]]
        msg = (
            f"{file} holds a search with another {' and another '.join(differing)}, so its trials do not compare with "
            "these. Give another file, or what it was begun with"
        )
        raise ConfigError(msg)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # it was interrupted; nothing counts it
    return study


def _defaults(method: str) -> dict[str, Json]:
    usual = make_method(method, 0)
    values = {name: getattr(usual, name) for name in METHODS[method]}
    return {name: value for name, value in values.items() if METHODS[method][name].holds(value)}


def _asked(trial: "Trial", space: Space) -> dict[str, Json]:
    settings: dict[str, Json] = {}
    for name, bounds in space.items():
        if isinstance(bounds, Choice):
            settings[name] = trial.suggest_categorical(name, bounds.values)
        elif bounds.whole:
            low, high = int(bounds.low), int(bounds.high)
            settings[name] = trial.suggest_int(name, low, high, log=bounds.log)
        else:
            settings[name] = trial.suggest_float(name, bounds.low, bounds.high, log=bounds.log)
    return settings


def _seeded(study: "Study", seed: int, done: int) -> None:
    from optuna.samplers import TPESampler

    # of its own seed for each trial, so that the next one is the same after a break
    state = np.random.SeedSequence((seed, done)).generate_state(1)
    study.sampler = TPESampler(seed=int(state[0]), n_startup_trials=_FIRST)


def _tell(study: "Study", trial: "Trial", value: float | None, started: float) -> None:
    from optuna.trial import TrialState

    trial.set_user_attr("seconds", round(time.perf_counter() - started, 3))
    if value is None:
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)


def _finished(study: "Study") -> "list[FrozenTrial]":
    # those that came to an end, with a figure or with a reason; not the interrupted
    return [
        trial for trial in study.get_trials(deepcopy=False) if "seconds" in trial.user_attrs
    ]


def _succeeded(study: "Study") -> bool:
    return any(trial.value is not None for trial in _finished(study))


def _tuned(method: str, metric: str, study: "Study") -> Tuned:
    finished = _finished(study)
    if not _succeeded(study):
        reason = finished[0].user_attrs.get("remark", "no reason") if finished else "none began"
        msg = f"no trial of {method} succeeded; the first said: {reason}"
        raise ConfigError(msg)
    rows = [
        {
            "trial": number,
            "value": trial.value,
            "seconds": trial.user_attrs["seconds"],
            **trial.params,
            "remark": trial.user_attrs.get("remark", ""),
        }
        for number, trial in enumerate(finished)
    ]
    best = study.best_trial
    return Tuned(method, metric, float(study.best_value), best.params, pl.DataFrame(rows))


def _short(value: Json) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
