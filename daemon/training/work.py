"""The work of one training: epoch after epoch, each of them kept before the next begins."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from daemon.console import Console
from daemon.corpus import Row
from daemon.ports import Clock
from daemon.training.folder import Folder
from daemon.training.settings import Settings
from daemon.training.subject import Subject
from scoring.training.course import Course

Seconds = tuple[float, float]  # on the clock, and of all threads on the CPU


def subject_of(
    settings: Settings, rows: Sequence[Row], classes: tuple[str, ...], console: Console
) -> Subject:
    """What the settings train. Each needs libraries of its own, so only one is imported."""
    if settings.model == "joint":
        from daemon.training.joint import JointSubject

        return JointSubject(
            rows,
            classes,
            layers=settings.layers,
            seed=settings.seed,
            threads=settings.threads,
            reduce=settings.reduce,
            coarse=settings.coarse,
        )
    from daemon.training.head import HeadSubject

    with console.progress("reading texts", len(rows)) as bar:
        return HeadSubject(rows, classes, settings.schedule, settings.epochs, bar.advance)


def work(
    settings: Settings,
    subject: Subject,
    rows: int,
    folder: Folder,
    clock: Clock,
    console: Console,
) -> tuple[Course, Seconds]:
    """Go on from the folder's state to the last epoch. The time of interrupted runs counts too."""
    course = Course(
        subject.learner, rows, settings.schedule, epochs=settings.epochs, seed=settings.seed
    )
    spent = (0.0, 0.0)
    before = folder.state()
    if before is not None:
        course.restore(before)
        spent = (float(before["seconds"][0]), float(before["seconds"][1]))
        console.say(f"going on after epoch {course.done} of {settings.epochs}")
    with console.progress("training", sum(settings.schedule.seen(settings.epochs, rows))) as bar:
        bar.advance(course.trained + course.scored)
        while course.done < settings.epochs:
            began = _seconds(clock)
            course.epoch(bar.advance)
            now = _seconds(clock)
            spent = (spent[0] + now[0] - began[0], spent[1] + now[1] - began[1])
            if settings.due(course.done):
                folder.checkpoint(course.done, subject.files())
            folder.keep({**course.state(), "seconds": np.array(spent)})
    return course, spent


def _seconds(clock: Clock) -> Seconds:
    used = os.times()
    return clock.monotonic(), used.user + used.system


def rows_table(course: Course, places: Sequence[int]) -> str:
    """CSV of what the scoring rounds showed of each row, by its place in the training split."""
    schedule, dynamics = course.schedule, course.dynamics
    columns = zip(
        places,
        dynamics.smoothed(schedule.alpha, schedule.c).tolist(),
        dynamics.aum().tolist(),
        dynamics.forgetting().tolist(),
        strict=True,
    )
    lines = [f"{p},{e:.6g},{a:.6g},{f:.6g}" for p, e, a, f in columns]
    return "\n".join(("row,error,aum,forgetting", *lines)) + "\n"
