"""The training loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from seq2seq.data.batch import Batch
from seq2seq.data.loader import BatchLoader, groups
from seq2seq.distributed.group import ALONE, Group
from seq2seq.errors import TrainingError
from seq2seq.evaluation.teacher_forcing import BatchLoss
from seq2seq.machine import synchronize
from seq2seq.model.loss import Loss
from seq2seq.model.seq2seq import Seq2Seq, parameter_device
from seq2seq.precision import FP32, Precision
from seq2seq.runs.checkpoint import RunDirectory, read_info, read_weights
from seq2seq.settings.schema import TrainerConfig
from seq2seq.signals import StopRequest
from seq2seq.storage.atomic import naming
from seq2seq.training.clock import Clock
from seq2seq.training.failures import diverged, fitting_in_memory
from seq2seq.training.meter import Meter
from seq2seq.training.optim import Constant, Ema, mean_of, set_lr
from seq2seq.training.progress import Progress
from seq2seq.training.state import TrainState, require_keys
from seq2seq.training.tracker import Tracker
from seq2seq.training.validator import ValidationResult, Validator

logger = logging.getLogger(__name__)

CURVES_EVERY = 30.0  # seconds, at least, between two pictures of a run in progress


class Trainer:
    """Trains a model, validates it and keeps the best."""

    def __init__(
        self,
        model: Seq2Seq,
        optimizer: Optimizer,
        schedule: Constant,
        loader: BatchLoader,
        validator: Validator,
        run: RunDirectory,
        tracker: Tracker,
        settings: TrainerConfig,
        total_steps: int,
        ema: Ema | None = None,
        precision: Precision = FP32,
        searched_in: Sequence[Precision] = (),
        group: Group = ALONE,
    ) -> None:
        """``total_steps`` is the number of updates that ``settings`` amount to.

        At the end, search in each precision of ``searched_in`` is compared with search in fp32. The processes of
        ``group`` share each batch.
        """
        self.model, self.optimizer, self.schedule, self.ema = model, optimizer, schedule, ema
        self.loader, self.validator = loader, validator
        self.run, self.tracker = run, tracker
        self.settings, self.total_steps = settings, total_steps
        self.device = parameter_device(model)
        self.precision, self.scaler = precision, precision.scaler(parameter_device(model))
        self.searched_in = searched_in
        self.group = group
        self.batch_loss = group.parallel(BatchLoss(model, settings.label_smoothing), settings.all_reduce)
        self.state = TrainState()
        self.meter = Meter(self.device)
        self.losses = torch.zeros(2, device=self.device)  # of this update and process: sums as in Loss
        self.skipped_in_row = torch.zeros((), device=self.device)
        self.clock = Clock()
        self.on_validation: Callable[[int, float], object] = lambda when, value: None
        """Called after each validation but the last, once the run is saved, with the epoch or update, as
        validate_unit counts, and the value of the metric. What it raises ends training there."""

    @property
    def lr(self) -> float:
        """The learning rate at its peak."""
        lr: float = self.optimizer.defaults["lr"]
        return lr

    def train(self) -> dict[str, Any]:
        """Run to the end, or until a signal asks to stop.

        Returns the result: why it ended, the best metrics, updates, seconds; with "signal" if it can be resumed.
        """
        self.clock.start()
        with (
            StopRequest() as stop,
            naming(self.run.path),  # errors of TensorBoard's files name no file
            closing(self.tracker),
            Progress(self.total_steps, self.state.step) as self.progress,
        ):
            if self.state.step == 0:
                self._try_largest()
                self._save_last()
            with self.clock.on("training"):
                reason = self.state.end(self.settings) or self._loop(stop)
            if reason is None:
                self._save_last()
            else:
                self._finish()
                self.progress.finish(self.state.step)
            self.tracker.draw_curves()
        result = {
            "stopped": reason or f"asked to by {stop.signal}",
            "best": self.state.best,
            "best_step": self.state.best_step,
            "steps": self.state.step,
            "epochs": self.state.epoch,
            "seconds": round(self.clock.total(), 1),
            "spent": {what: round(seconds, 1) for what, seconds in self.clock.spent.items()},
            "parameters": self.model.num_parameters(),
        }
        if reason is None:
            return {**result, "signal": stop.signal}
        self.tracker.report(result)
        self.run.finish(result)
        return result

    def _loop(self, stop: StopRequest) -> str | None:
        """Why training is over; None if a signal stopped it earlier."""
        while True:
            self.clock.lap()
            epoch = self.loader.epoch(self.state.epoch).after(self.state.batch)
            for batches in groups(epoch, self.settings.accumulate):
                self.update(batches)
                self.meter.seconds += self.clock.lap()  # includes making the batches and sampling their pieces
                if self.state.step % self.settings.log_every == 0:
                    self.progress.show(self._report(), self.state)
                self.progress.advance(self.state.step)
                if self._due("steps", self.state.step):
                    self._validate_and_save()
                if reason := self.state.end(self.settings):
                    return reason
                if self._asked(stop):
                    return None
                if self.settings.save_every and self.state.step % self.settings.save_every == 0:
                    self._save_last()
                self.clock.lap()
            self.state.epoch, self.state.batch = self.state.epoch + 1, 0
            if self._due("epochs", self.state.epoch):
                self._validate_and_save()
            if reason := self.state.end(self.settings):
                return reason
            if self._asked(stop):
                return None

    def _asked(self, stop: StopRequest) -> bool:
        """Whether a signal has asked any of the processes to stop: all get the same answer."""
        if number := self.group.largest(stop.number):
            stop.number = number
        return number > 0

    def update(self, batches: list[Batch]) -> None:
        """One optimizer update on the mean loss over all target tokens of ``batches``."""
        self.model.train()
        self.group.begin_update(self.state.step)
        num_tokens = sum(batch.counts.tgt for batch in batches)
        for i, batch in enumerate(batches, 1):
            with self.group.exchanging(self.batch_loss, now=i == len(batches)):
                loss = self._loss(batch) / num_tokens * self.group.size  # the group takes the mean gradient
                self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        clip = math.inf if self.settings.clip_norm is None else self.settings.clip_norm
        parameters = [*self.model.parameters()]
        norm = self.group.agreed(get_total_norm([p.grad for p in parameters if p.grad is not None]))
        clip_grads_with_norm_(parameters, clip, norm)
        skipped = (~norm.isfinite()).float()
        self.skipped_in_row = (self.skipped_in_row + skipped) * skipped
        self.optimizer.found_inf = skipped  # type: ignore[attr-defined]  # torch takes no step where it is 1
        self.state.step += 1
        self.state.batch += len(batches)
        set_lr(self.optimizer, self.lr * self.schedule.factor(self.state.step))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update(self.model, self.state.step)
        self.meter.add_update(self.group.sum(self.losses), norm, skipped)
        self.losses = torch.zeros_like(self.losses)

    def _loss(self, batch: Batch) -> Tensor:
        with self.precision.products(self.device):
            loss: Loss = self.batch_loss(batch.to(self.device))
        self.losses = self.losses + torch.stack([loss.smoothed.detach(), loss.nll.detach()])
        self.meter.add_batch(batch)
        return loss.smoothed

    def _report(self) -> dict[str, float]:
        if self.skipped_in_row >= self.settings.max_skipped:
            raise self._diverged()
        synchronize(self.device)  # else the work that a GPU has not finished would not be counted
        self.meter.seconds += self.clock.lap()
        values = {**self.meter.values(), "lr": self.optimizer.param_groups[0]["lr"]}
        self.tracker.scalars("train", values, self.state.step)
        self.meter = Meter(self.device)
        return values

    def _diverged(self) -> TrainingError:
        in_epoch = self.state.batch > 0  # else an epoch has just ended, with its last batch
        lines = self.loader.epoch(self.state.epoch - (not in_epoch)).lines(self.state.batch - 1)
        saved = str(self.run.path / "last")
        return diverged(self.model, int(self.skipped_in_row), self.state.step, lines, self.lr, saved)

    def _try_largest(self) -> None:
        """Compute the largest batch once: if memory runs out, it does so now."""
        batch = self.loader.epoch(self.state.epoch).largest()
        self.model.train()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), fitting_in_memory(batch):
            self._loss(batch).backward()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses, self.meter = torch.zeros_like(self.losses), Meter(self.device)

    def _due(self, unit: str, count: int) -> bool:
        return self.settings.validate_unit == unit and count % self.settings.validate_every == 0

    def _validate_and_save(self) -> None:
        self._validate()
        self._save_last()
        if self.state.end(self.settings) is None:
            when = self.state.epoch if self.settings.validate_unit == "epochs" else self.state.step
            self.on_validation(when, self.state.validated[self.settings.metric])

    def _validate(self) -> None:
        """Validate (the average, if there is one), report, and save best/ and step-N/."""
        average = self.ema.in_place_of_weights(self.model) if self.ema else nullcontext()
        with self.clock.on("validation"), average:
            result = self.validator.validate(self.progress.of_validation)
            self._report_validation(result)
            if self.settings.keep_last:
                self._save(f"step-{self.state.step}")
                self.run.keep_newest_steps(self.settings.keep_last)
        self.schedule.on_validation(result.metrics)

    def _report_validation(self, result: ValidationResult, group: str = "valid") -> None:
        """Report the result; save best/ if it is better."""
        step, metric, metrics = self.state.step, self.settings.metric, result.metrics
        if better := self.state.validated_by(metrics, metric):
            self._save("best")
        with self.clock.on("reports"):
            best = self.state.best[metric]
            self.tracker.scalars(group, {**metrics, f"best_{metric}": best}, step, self.state.epoch)
            samples = result.translations[: self.settings.num_samples]
            attention = [self.validator.translator.word_attention(translation) for translation in samples]
            self.tracker.samples(samples, self.validator.text.tgt, attention, step, group)
            self.tracker.draw_curves(at_most_every=CURVES_EVERY)
        remark = " · best so far" if better else ""
        logger.info("validation after update %d (epoch %d): %s%s", step, self.state.epoch, result, remark)

    def _save(self, name: str, training: dict[str, Any] | None = None) -> None:
        with self.clock.on("saving"):
            self.run.save(name, self.model, self.state.step, self.state.epoch, self.state.validated, training)
            self.group.wait()  # for the files, which all may read

    def _save_last(self) -> None:
        """Save everything that resuming from here needs."""
        self._save("last", {**self.state_dict(), "written": self.tracker.flush()})

    def state_dict(self) -> dict[str, Any]:
        """Everything that resuming needs besides the model's weights."""
        return {
            "state": {**self.state.state_dict(), "seconds": self.clock.total()},
            "loader": self.loader.state_dict(),
            "meter": self.meter.state_dict(),
            "clock": self.clock.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "precision": self.precision.state_dict(),
            "ema": self.ema.weights if self.ema else None,
            "skipped_in_row": self.skipped_in_row,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Resume from the state ``saved`` in ``last/``; the model already has its weights.

        The random numbers of the loader and of the sampling of pieces come from the seed and the epoch.
        Python's and NumPy's generators play no part in training.

        Raises:
            CheckpointError: the state lacks a part, or has an unknown one.
        """
        require_keys(saved, self.state_dict(), "training loop")
        self.state.load_state_dict(saved["state"])
        self.loader.load_state_dict(saved["loader"])
        self.meter.load_state_dict(saved["meter"])
        self.clock.load_state_dict(saved["clock"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        if saved["scaler"] and self.scaler.is_enabled():  # both starts were in fp16
            self.scaler.load_state_dict(saved["scaler"])
        self.skipped_in_row = saved["skipped_in_row"].to(self.device)
        if self.ema:
            self.ema.load_weights(saved["ema"])
        torch.set_rng_state(saved["rng"])
        if saved["cuda_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(saved["cuda_rng"], self.device)
        self.run.forget_after(self.state.step)

    def _finish(self) -> None:
        """Report and validate the last updates, if that is still to be done, and the average of checkpoints.

        ``last/`` is saved first, so that a run that is made longer later resumes as if it had not ended here.
        """
        self._save_last()
        self.clock.lap()
        enough = self.meter.updates >= self.settings.log_every / 2  # fewer would be a noisy last point
        first = self.meter.updates == self.state.step
        if self.meter.updates and (enough or first or self.meter.skipped):
            self._report()
        if self.state.validated_step < self.state.step or self.state.step == 0:  # 0: the weights it starts from
            self._validate()
        steps = self.run.keep_newest_steps(self.settings.keep_last)
        if self.settings.average == "last" and len(steps) > 1:
            logger.info("average of %s:", ", ".join(path.name for path in steps))
            for path in steps:
                read_info(path)
            weights = mean_of(read_weights(path) for path in steps)
            self.model.load_state_dict(weights, strict=False)  # a tied matrix is stored once
            self._report_validation(self.validator.validate(self.progress.of_validation), group="average")
        if self.searched_in:
            self._compare_precisions()

    def _compare_precisions(self) -> None:
        """Record in best/ how much BLEU on validation search loses in each precision that is faster than fp32."""
        self.model.load_state_dict(read_weights(self.run.path / "best"), strict=False)
        exact = self.validator.bleu(FP32)
        losses = {precision.name: exact - self.validator.bleu(precision) for precision in self.searched_in}
        described = ", ".join(f"{name} {loss:+.2f}" for name, loss in losses.items())
        logger.info("search in other precisions loses so much BLEU on validation: %s", described)
        self.run.record_losses(losses)
