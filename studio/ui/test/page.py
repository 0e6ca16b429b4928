"""Test: the examples that were set aside, answered by the model before and after, and what that says."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QLabel, QWidget

from studio.core.events import BASE, THIS_RUN, Crashed, Failed, MemorisationChecked, Stopped
from studio.core.job_states import ExamState
from studio.core.jobs import IN_PROMPT, Exam
from studio.core.problems import Problem, Remedy
from studio.core.run_folder import RunFolder
from studio.core.translatable import Sentence
from studio.dataset.examples import Example, read_frozen
from studio.dataset.fingerprint import needs_questions
from studio.dataset.nearest import NearestExamples
from studio.evaluation.figures import changes, figures
from studio.evaluation.forgetting import GROUP_TITLES, Retention, against_forgetting, forgetting, retention
from studio.evaluation.measures import (
    EXACT,
    LABELS,
    MEASURES,
    Measure,
    confusion,
    measure_for,
    measure_named,
)
from studio.evaluation.memorised import memorised_sentences
from studio.evaluation.standings import standings
from studio.evaluation.verdict import Comparison, Verdict, compare, newest_exam, verdict, without_training
from studio.runs.project import project_of
from studio.ui.controls.layout import MIDDLE, STRETCH, TOP, Card, add_all, hbox, vbox
from studio.ui.controls.page import Obstacle, PageFrame
from studio.ui.controls.progress import ProgressCard
from studio.ui.controls.status_icon import StatusIcon
from studio.ui.controls.text import button, clear_layout_widget, combo_box, label
from studio.ui.design.language import examples, tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, GAP_WIDE
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background
from studio.ui.test.answer_comparison import AnswerComparison, ComparisonCard, pair_up
from studio.ui.test.blind_test import BlindTestCard
from studio.ui.test.contestants import ContestantsCard
from studio.ui.test.standings_card import SHAPE_OF, StandingsCard, name_of, outcome_word


class TestPage(PageFrame):
    """Paints the newest exam of the run on show; starts a new one."""

    __test__ = False  # not a test itself, as pytest would think by its name

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(tr("Test"), scroll=True, parent=parent)
        self._app_state = app_state
        self._run: RunFolder | None = None
        self._shown = ExamState()
        self._painted: tuple[object, ...] | None = None
        self._live = False
        self._needs_questions = False
        self.job = app_state.exam
        self.job.updated.connect(self._on_updated)
        self.job.ended.connect(self._on_ended)
        self.job.failed.connect(self._on_failed)
        self.progress = ProgressCard(tr("Progress of the test"))
        self.progress.stopped.connect(lambda: self.job.stop(keep=False))
        self.banner: VerdictBanner | None = None
        self.latest: ComparisonCard | None = None
        self.invitation = Card(tr("What happens now"))
        self.invitation_words = label("")
        self.invitation.body.addWidget(self.invitation_words)
        self.measure = MeasureChoice()
        self.measure.chosen.connect(self._paint)
        self.standings = StandingsCard()
        self.standings.chosen.connect(self._paint)
        self.mixed_up: Card | None = None
        self.retained: RetentionCard | None = None
        self.by_heart: ByHeartCard | None = None
        self.options = ExamOptions()
        self.contestants = ContestantsCard()
        self.ask_more = button(tr("Ask more, or other models"), "link", self._on_ask_more)
        self._asks_more = False
        self.blind = BlindTestCard()
        self.blind.failed.connect(self._on_failed)
        self.blind.answers_wanted.connect(self._start)
        self.comparison = AnswerComparison()
        self.comparison.similar_wanted.connect(self._on_similar_wanted)
        self._index: tuple[RunFolder, NearestExamples] | None = None
        asked = (self.progress, self.invitation, self.ask_more, self.options, self.contestants)
        add_all(self.body, self.measure, self.standings, *asked, self.blind, self.comparison, STRETCH)
        self.start = self.set_primary(tr("Test"), self._start)

        app_state.run_changed.connect(self._on_run_changed)
        app_state.run_updated.connect(self._on_run_updated)
        app_state.data_changed.connect(self._paint)
        self._on_run_changed()

    # What happens

    def _start(self) -> None:
        if self._run is None or self.job.is_running():
            return
        self.clear_problem()
        if self._needs_questions:
            self._take_questions(self._run)
            return
        self._live = True
        self._shown = ExamState()
        self.progress.begin(tr("Getting ready."))
        job = Exam(
            run=self._run.path,
            in_prompt=IN_PROMPT if self.options.in_prompt.isChecked() else 0,
            general=self.options.general.isChecked(),
            memorised=self.options.memorised.isChecked(),
            against=self.contestants.chosen(),
            own_questions=project_of(self._run).own_questions(),
        )
        self.job.start(self._run.job("exam"), job)
        self._paint()

    def _take_questions(self, run: RunFolder) -> None:
        """The examples of the Data page become those of a run that another program made; then it is tested."""
        recipe, table, found = self._app_state.recipe, self._app_state.data.table, self._app_state.data.examples
        assert table is not None and found is not None, "else there is an obstacle"
        self.start.setEnabled(False)

        def take() -> int:
            from studio.runs.open_adapter import set_questions

            return set_questions(run, recipe, table, found)

        def taken(_: int) -> None:
            if run == self._run:
                self._needs_questions = False
                self._start()

        run_in_background(self, take, taken, self._on_failed)

    def _on_run_changed(self) -> None:
        run = self._app_state.run
        if run != self._run:
            self._run = run
            self._asks_more = False
            self._needs_questions = run is not None and needs_questions(run)
            self._shown = ExamState()
            self._live = False
            self.measure.wanted = None
            self.standings.show_first(())
            self.clear_problem()
            if run is not None:
                self.contestants.show_run(run)
                run_in_background(self, lambda: newest_exam(run), lambda found: self._on_found(run, found))
        self._paint()

    def _on_found(self, run: RunFolder, found: ExamState | None) -> None:
        if run == self._run and found is not None and self._shown.completed is None:
            self._shown = found
            self._paint()

    def _on_updated(self) -> None:
        self._live = self._live or self.job.is_running()
        if self.job.state.completed is not None:
            self._shown = self.job.state
        self._paint()

    def _on_run_updated(self) -> None:
        if not self.job.is_running():
            self._paint()

    def _on_ended(self) -> None:
        state = self.job.state
        live, self._live = self._live, False
        match state.ending:
            case Failed() | Crashed() if live:  # one of an earlier day isn't news any more
                self._on_failed(state.ending.problem)
            case Stopped() if state.predictions:
                self._shown = state
        self._paint()

    def _on_failed(self, problem: Problem) -> None:
        self.show_problem(problem, self._on_remedy)
        self._paint()

    def _on_remedy(self, remedy: Remedy) -> None:
        if remedy is Remedy.try_again:
            self._start()
        elif remedy is Remedy.open_log and self.job.folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.job.folder.log)))
        else:
            self.remedy_requested.emit(remedy)

    def _on_keep_wanted(self) -> None:
        self._app_state.set_value("training.rehearsal", True)
        self.step_requested.emit("train")

    def _on_similar_wanted(self, card: ComparisonCard) -> None:
        """Find what was learned that is nearest to the question of `card`; the index is made once a run."""
        run = self._run
        if run is None:
            return
        card.similar.setEnabled(False)
        known = self._index

        def find() -> tuple[NearestExamples, list[Example]]:
            index = known[1] if known is not None and known[0] == run else learned_examples(run)
            return index, index.nearest(card.question, 3)

        def found(result: tuple[NearestExamples, list[Example]]) -> None:
            index, examples = result
            self._index = (run, index)
            card.show_similar(examples[::-1])

        run_in_background(card, find, found)

    def _on_ask_more(self) -> None:
        self._asks_more = True
        self._paint()
        self.options.general.setFocus()

    # How it looks

    def _paint(self) -> None:
        running = self.job.is_running()
        state = self.job.state if running else self._shown
        obstacle = None if running or state.predictions else self._obstacle()
        self.show_missing(obstacle)
        self.start.setVisible(obstacle is None)
        self.start.setEnabled(not running and self._obstacle() is None)
        self.start.setText(tr("Test again") if state.predictions and not running else tr("Test"))
        can_ask = not running and obstacle is None and self._obstacle() is None
        asked_before = bool(state.predictions)  # then its answers matter most
        self.ask_more.setVisible(can_ask and asked_before and not self._asks_more)
        for one in (self.options, self.contestants):
            one.setVisible(can_ask and (self._asks_more or not asked_before))
        self.progress.setVisible(running)
        if running and self.progress.stop.isEnabled():
            self.progress.show_state(state)
        self._paint_words(running, state, obstacle is not None)
        self._paint_answers(running, state)

    def _paint_words(self, running: bool, state: ExamState, missing: bool) -> None:
        self.invitation.hide()
        if missing:
            self.set_lead(tr("Whether training really helped, on examples that the model never studied."))
        elif running:
            self.set_lead(tr("Both models answer the same examples. You can go on with something else meanwhile."))
        elif state.completed is not None:
            self.set_lead(tr("Read a few answers below, then talk to the model on the Chat page."))
        elif state.predictions:
            self.set_lead(tr("This test was stopped before its end, so there is no verdict."))
        else:
            self.set_lead(tr("Press Test to see whether training really helped."))
            prepared = self._app_state.state.prepared
            count = examples(prepared.held_out) if prepared is not None else tr("The examples that were set aside")
            if self._needs_questions and self._app_state.data.examples is not None:
                count = tr("{count} on the Data page", count=examples(len(self._app_state.data.examples)))
            words = tr("{count}, which the model never studied, are answered twice:", count=count) + " "
            words += tr("by the model as it was before training, and by the model as it is now.") + " "
            self.invitation_words.setText(words + tr("Then you see a verdict, and the answers side by side."))
            self.invitation.show()

    def _paint_answers(self, running: bool, state: ExamState) -> None:
        pair = (self.standings.baseline, self.standings.candidate)
        now = (running, len(state.predictions), len(state.own), state.completed, self.measure.wanted, pair)
        if now == self._painted:
            return
        self._painted = now
        for old in (self.banner, self.latest, self.mixed_up, self.retained, self.by_heart):
            if old is not None:
                clear_layout_widget(old)
        self.banner = self.latest = self.mixed_up = self.retained = self.by_heart = None
        self.measure.hide()
        self.standings.hide()
        if running:
            # one card instead of a list that would jump about under the reader's eyes
            self.comparison.hide()
            self.blind.hide()
            if state.predictions:
                newest = state.predictions[-1]
                models = (BASE, newest.model if newest.model != BASE else THIS_RUN)
                row = next(r for r in pair_up(state.predictions, EXACT, *models) if r.index == newest.index)
                self.latest = ComparisonCard(row, (name_of(models[0]), name_of(models[1])))
                self.body.insertWidget(self.body.indexOf(self.progress) + 1, self.latest)
            return
        compared = self._paint_verdict(state)
        if self._run is not None and compared is not None:
            self.blind.show_answers(self._run, state)
        self.comparison.setVisible(bool(state.predictions))
        measure = compared.measure if compared is not None else EXACT
        self.comparison.set_answers(state.predictions, measure, self.standings.baseline, self.standings.candidate)

    def _paint_verdict(self, state: ExamState) -> Comparison | None:
        """Everything that a complete test says, above what can be asked next; None where it isn't complete."""
        if state.completed is None:
            return None
        models = [result.model for result in state.completed.results]
        if not {self.standings.baseline, self.standings.candidate} <= set(models):
            self.standings.show_first(models)
        baseline, candidate = self.standings.baseline, self.standings.candidate
        compared = compare(state, baseline, candidate, self.measure.wanted)
        if compared is None:
            return None
        table = standings(state, baseline, self.measure.wanted if state.scored else compared.measure)
        judged = next((one.verdict for one in table if one.model == candidate), None) or verdict(compared)
        told = [notice.text for notice in state.notices if not notice.code.startswith("exam.")]
        if (baseline, candidate) == (BASE, THIS_RUN) and (alone := without_training(state, self.measure.wanted)):
            told = [alone, *told]
        self.banner = VerdictBanner(compared, judged, told)
        self.body.insertWidget(0, self.banner)
        of_others = [notice.text for notice in state.notices if notice.code.startswith("exam.")]
        self.standings.show_standings(table, compared.measure, of_others)
        kept = retention(state.general)
        if kept:
            prepared = self._app_state.state.prepared
            self.retained = RetentionCard(kept, rehearsed=prepared is not None and prepared.rehearsal > 0)
            self.retained.keep_wanted.connect(self._on_keep_wanted)
            self.body.insertWidget(self.body.indexOf(self.options), self.retained)
        if state.memorised is not None:
            self.by_heart = ByHeartCard(state.memorised)
            self.body.insertWidget(self.body.indexOf(self.options), self.by_heart)
        self.measure.show_measure(compared)
        self.mixed_up = _mixed_up(compared)
        if self.mixed_up is not None:
            self.body.insertWidget(self.body.indexOf(self.comparison), self.mixed_up)
        return compared

    def _obstacle(self) -> Obstacle | None:
        """What is missing, the words of a button, and where it leads."""
        app_state = self._app_state
        if app_state.is_training():
            words = tr("The model is still being trained. It can be tested when that is done.")
            return words, tr("See how it goes"), "train"
        if not app_state.state.checkpoints:
            if app_state.data.examples is None:
                words = tr("There is nothing to test yet: first the model needs examples to learn from.")
                return words, tr("Choose your data"), "data"
            return tr("There is nothing to test yet: the model hasn't been trained."), tr("Train the model"), "train"
        if self._needs_questions and (app_state.data.examples is None or app_state.data.reading):
            words = tr("This model was trained in another program, so no examples lie here to test it with.") + " "
            return words + tr("Choose some with answers that it wasn't trained on."), tr("Choose your data"), "data"
        prepared = app_state.state.prepared
        if prepared is not None and prepared.held_out == 0:
            words = tr("No examples were set aside in this run, so there is nothing to test it with.") + " "
            return words + tr("Set some aside and train again."), tr("Go to Train"), "train"
        return None


def learned_examples(run: RunFolder) -> NearestExamples:
    """An index over what the run learned from. Reads files; empty where there are none."""
    learned = read_frozen(run.train_data) if run.train_data.is_file() else []
    return NearestExamples([one for one in learned if one.messages])


class VerdictBanner(QFrame):
    """The verdict's word and sentence on the left, before and after in figures on the right; what was noticed on the
    way stands after the sentence."""

    def __init__(
        self, compared: Comparison, found: Verdict, notices: Sequence[Sentence] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setProperty("card", "true")
        self.outcome = found.outcome
        word, sentence = _parted(outcome_word(found.outcome), tr_sentence(found.text))
        self.word = label(word, "title")
        if (compared.baseline.model, compared.candidate.model) != (BASE, THIS_RUN):
            names = {"candidate": name_of(compared.candidate.model), "baseline": name_of(compared.baseline.model)}
            sentence = tr("{candidate} beside {baseline}:", **names) + " " + sentence
        self.sentence = label(" ".join((sentence, *map(tr_sentence, notices))))
        row = hbox(
            (StatusIcon(SHAPE_OF[found.outcome], 40), TOP),
            (vbox(self.word, self.sentence, STRETCH, gap=GAP_SMALL), 1),
            on=self,
            gap=GAP_WIDE,
            margins=(GAP_WIDE, GAP_WIDE, GAP_WIDE, GAP_WIDE),
        )
        if compared.examples:
            row.addSpacing(GAP)
            row.addLayout(_figures(compared), 0)
        self.setAccessibleName(f"{self.word.text()}. {self.sentence.text()}")


class MeasureChoice(QWidget):
    """What the verdict goes by: chosen from the wanted answers until a person chooses otherwise, and why. `wanted` is
    the person's choice, None for the one that fits."""

    chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.wanted: Measure | None = None
        choices = [(tr("{title} ({term})", title=tr(one.title), term=one.term), one.name) for one in MEASURES]
        self.box = combo_box(tr("What the verdict goes by"), choices)
        self.box.activated.connect(self._on_activated)
        self.why = label("", "small")
        row = hbox((label(tr("The verdict goes by"), "small", wrap=False), MIDDLE), self.box, (self.why, 1), on=self)
        row.setContentsMargins(0, 0, 0, 0)
        self.hide()

    def show_measure(self, compared: Comparison) -> None:
        fits = measure_for([wanted for wanted, _, _ in compared.answers])
        self.box.setCurrentIndex(self.box.findData(compared.measure.name))
        if compared.measure is fits:
            self.why.setText(
                tr(fits.why) if compared.scored is None else tr("Until you choose one: by what was learned.")
            )
        else:
            self.why.setText(tr("You chose this. Recommended: {title}. {why}", title=tr(fits.title), why=tr(fits.why)))
        self.setVisible(bool(compared.examples))

    def _on_activated(self, _index: int) -> None:
        self.wanted = measure_named(self.box.currentData())
        self.chosen.emit()


class ExamOptions(QWidget):
    """What the next test asks besides the examples set aside."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.general = QCheckBox(tr("Also ask general questions, to see what it forgot"))
        self.in_prompt = QCheckBox(tr("Also ask the untrained model with examples in its prompt"))
        self.memorised = QCheckBox(tr("Also look for what it knows by heart"))
        for box in (self.general, self.in_prompt, self.memorised):
            box.setChecked(True)
        vbox(self.general, self.in_prompt, self.memorised, on=self, gap=GAP_SMALL)


class RetentionCard(Card):
    """What the model still knows of what it knew before, group by group; and where it forgot, what helps against that.
    `keep_wanted` is sent where a person wants that for the next training."""

    keep_wanted = Signal()

    def __init__(self, found: Sequence[Retention], *, rehearsed: bool, parent: QWidget | None = None) -> None:
        super().__init__(tr("What it still knows"), parent)
        helps = against_forgetting(found, rehearsed)
        told = (*forgetting(found), *((helps,) if helps is not None else ()))
        self.words = label(" ".join(map(tr_sentence, told)))
        self.keep = button(tr("Keep what it knew in the next run"), "link", self.keep_wanted.emit)
        self.keep.setVisible(helps is not None and not rehearsed)
        add_all(self.body, self.words, hbox(self.keep, STRETCH))
        grid = QGridLayout()
        grid.setHorizontalSpacing(GAP_PAGE)
        grid.setVerticalSpacing(GAP_SMALL)
        for column, head in ((1, tr("Before")), (2, tr("After"))):
            grid.addWidget(_figure(head, "small"), 0, column)
        for row, one in enumerate(found, start=1):
            grid.addWidget(label(tr(GROUP_TITLES[one.group]), "small", wrap=False), row, 0)
            grid.addWidget(_figure(tr("{right} of {total}", right=one.before, total=one.total), ""), row, 1)
            grid.addWidget(_figure(tr("{right} of {total}", right=one.after, total=one.total), ""), row, 2)
        grid.setColumnStretch(3, 1)
        self.body.addLayout(grid)


class ByHeartCard(Card):
    """What the model learned by heart instead of understanding it, with some of the passages that it repeated."""

    def __init__(self, found: MemorisationChecked, parent: QWidget | None = None) -> None:
        super().__init__(tr("What it knows by heart"), parent)
        self.body.addWidget(label(" ".join(map(tr_sentence, memorised_sentences(found)))))
        for one in found.reproduced[:5]:
            words = tr("Asked: {question} It repeated: {passage}", question=one.question, passage=one.passage)
            self.body.addWidget(label(words, "small"))


def _mixed_up(compared: Comparison) -> Card | None:
    """Which labels were taken for which others, the commonest first; None where none was, or answers are no labels."""
    if compared.measure is not LABELS:
        return None
    pairs = [(wanted, answer) for wanted, _, answer in compared.answers]
    wrong = [(wanted, given, count) for wanted, given, count in confusion(pairs) if wanted != given]
    if not wrong:
        return None
    card = Card(tr("Labels that are mixed up"))
    for wanted, given, count in wrong[:8]:
        text = (
            tr("{wanted} was taken for {given}: {n}", wanted=wanted, given=given, n=count)
            if given
            else tr("{wanted} got an answer that is no label: {n}", wanted=wanted, n=count)
        )
        card.body.addWidget(label(text))
    return card


def _parted(word: str, sentence: str) -> tuple[str, str]:
    """Sentences that begin with the verdict's word give it up to the heading, so that it isn't said twice."""
    head, colon, rest = sentence.partition(": ")
    if not colon or len(head) > 24 or "," in head:
        return word, sentence
    return head, rest[:1].upper() + rest[1:]


def _figures(compared: Comparison) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(GAP_PAGE)
    for column, head in enumerate(_heads(compared), start=1):
        grid.addWidget(head, 0, column)
    for number, figure in enumerate(figures(compared), start=1):
        grid.addWidget(label(tr(figure.title), "small", wrap=False), number, 0)
        grid.addWidget(_figure(tr_sentence(figure.before), ""), number, 1)
        grid.addWidget(_figure(tr_sentence(figure.after), ""), number, 2)
    below = grid.rowCount()
    grid.addWidget(label(tr_sentence(changes(compared)), "small", wrap=False), below, 0, 1, 3)
    between = label(tr("In brackets: the true figure lies there in 95 of 100 cases."), "small", wrap=False)
    below += 1
    grid.addWidget(between, below, 0, 1, 3)
    grid.setRowStretch(below + 1, 1)
    grid.setVerticalSpacing(GAP)
    return grid


def _heads(compared: Comparison) -> tuple[QLabel, QLabel]:
    """Of the two columns; a long name is cut in its middle."""
    models = (compared.baseline.model, compared.candidate.model)
    if models == (BASE, THIS_RUN):
        return _figure(tr("Before"), "small"), _figure(tr("After"), "small")
    made = []
    for model in models:
        head = _figure("", "small")
        head.setText(head.fontMetrics().elidedText(name_of(model), Qt.TextElideMode.ElideMiddle, _WIDEST_HEAD))
        head.setToolTip(name_of(model))
        made.append(head)
    return made[0], made[1]


_WIDEST_HEAD = 130
"""Pixels of a column's head, so that two of them leave room for the verdict on a small screen."""


def _figure(text: str, role: str) -> QLabel:
    made = label(text, "small" if role == "small" else "", wrap=False)
    made.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return made
