"""TRL's trainer, fed with tokens and labels that are made already, in an order of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import torch
import transformers
from torch.utils.data import DataLoader, Sampler
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

from studio.core.recipe.training import Optimizer
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.lazy_sequence import LazySequence
from studio.engine.device import Device
from studio.engine.distributed.ranks import ALONE, Ranks
from studio.engine.distributed.shares import Division, StepShares
from studio.engine.job_context import JobContext
from studio.engine.methods.added_tokens import fits_tiled_head
from studio.engine.methods.base_model import Network, balances_experts
from studio.engine.methods.method import TrainingMethod
from studio.engine.methods.registry import method_of
from studio.engine.objectives.objective import INFO, POSITION, Batch, BatchInfo, Row, TrainingObjective
from studio.engine.objectives.supervised import logits_fit
from studio.engine.patches import missing
from studio.engine.training.batch_layout import BatchLayout, layout_for, without_mask
from studio.engine.training.callback import StepSums, TrainingCallback
from studio.engine.training.packed_attention import AMPERE
from studio.engine.training.plan import Plan
from studio.engine.training.recovery import BatchPieces
from studio.engine.training.sampler import LengthGroupedSampler

OVERRIDDEN = (
    "_clip_grad_norm",
    "_get_num_items_in_batch",
    "_get_train_sampler",
    "_load_from_checkpoint",
    "_load_optimizer_and_scheduler",
    "compute_loss",
    "create_optimizer",
    "create_scheduler",
    "floating_point_ops",
    "get_train_dataloader",
    "training_step",
)
"""Methods of the libraries' trainers that `StudioTrainer` has in place of theirs."""


class PositionedRows(LazySequence[Row]):
    """Rows of examples, made when they are asked for, each with where it stands among them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def _at(self, positions: range) -> Iterator[Row]:
        return ({**self._rows[position], POSITION: position} for position in positions)


Count: TypeAlias = "int | torch.Tensor"
"""A whole number; of several processes the sum of theirs, which lies where it was summed."""


class StudioTrainer(SFTTrainer):  # type: ignore[misc]
    """Trains on rows that already hold `input_ids` and `labels`: exactly what the preview showed."""

    def __init__(
        self,
        *,
        context: JobContext,
        device: Device,
        objective: TrainingObjective,
        order: Callable[[], Sampler[int]] | None = None,
        course_ends: tuple[int, ...] = (),
        method: TrainingMethod,
        layout: BatchLayout = BatchLayout.padded,
        ranks: Ranks = ALONE,
        shares: StepShares | None = None,
        **arguments: Any,
    ) -> None:
        """`course_ends` are the last steps of the courses of the learning rate, one over all steps where none are
        given; `method` made the model; `layout` is how the examples of its batches lie beside each other. Of several
        `ranks`, this one computes `shares` of the steps."""
        gone = missing(SFTTrainer, OVERRIDDEN)
        if gone:
            context.notice(
                "library.changed",
                N_(
                    "The installed training library works in another way than this program expects ({names}). Steps "
                    "may be computed otherwise than it says. Install the versions that the program comes with."
                ),
                names=", ".join(gone),
            )
        self.objective = objective
        self.layout = layout
        model = arguments["model"]
        trainable = {name: p.data for name, p in model.named_parameters() if p.requires_grad}
        super().__init__(data_collator=self.collate, **arguments)
        for name, parameter in model.named_parameters():
            if name in trainable:  # TRL has rounded them to bfloat16
                parameter.data = trainable[name]
        self.loss_is_scaled_for_ga = True
        # A mixture of experts' loss divides by it, and the memory probe asks for that before the training sets it.
        self.current_gradient_accumulation_steps = self.args.gradient_accumulation_steps
        self.step = StepSums()
        self.pieces = BatchPieces(
            context,
            self.model,
            batch_size=self.args.per_device_train_batch_size,
            gradient_accumulation_steps=self.args.gradient_accumulation_steps,
            checkpointing=bool(self.args.gradient_checkpointing) and checkpoints_everything(self.args),
            collate=self.collate,
        )
        self._context = context
        self._device = device
        self._order = order
        self._shares = shares
        self.ranks = ranks
        self._course_ends = course_ends
        self._method = method

    def collate(self, rows: Sequence[Row]) -> Batch:
        """A batch as this trainer computes it."""
        if not rows:  # what a step has left is computed by other processes
            return {INFO: BatchInfo((), 0, 0)}
        match self.layout:
            case BatchLayout.packed:
                return self.objective.pack(rows)
            case BatchLayout.unmasked:
                return without_mask(self.objective.collate(rows))
            case BatchLayout.padded:
                return self.objective.collate(rows)

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: Any) -> int | torch.Tensor | None:
        if not batch_samples:
            return None
        count = self.objective.count(batch_samples)
        return self.ranks.sum(torch.tensor(count, device=device)) if self.ranks.several else count

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # nobody asks for it, and the library goes through all parameters for every micro-batch

    def get_train_dataloader(self) -> Any:
        if self._shares is None:
            return super().get_train_dataloader()
        pinned = self.args.dataloader_pin_memory
        return self.accelerator.prepare(
            DataLoader(self.train_dataset, batch_sampler=self._shares, collate_fn=self.data_collator, pin_memory=pinned)
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self._order() if self._order else super()._get_train_sampler(train_dataset)

    def create_optimizer(self, model: Any = None) -> Any:
        optimizer = super().create_optimizer(model)
        rates = {id(p): self._method.rate_of(name) for name, p in self.model.named_parameters()}
        for group in list(optimizer.param_groups):
            for rate in sorted({rates[id(p)] for p in group["params"]} - {1.0}):
                faster = [p for p in group["params"] if rates[id(p)] == rate]
                group["params"] = [p for p in group["params"] if rates[id(p)] != rate]
                optimizer.add_param_group({**group, "params": faster, "lr": rate * group["lr"]})
        return optimizer

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self._method.load_weights(self.model, Path(resume_from_checkpoint))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        # The library's own schedules begin and end with steps of learning rate zero, which learn nothing.
        ends, shape = self._course_ends or (num_training_steps,), str(self.args.lr_scheduler_type.value)

        def multiplier(step: int) -> float:
            begin, end = course_at(step, ends)
            return lr_multiplier(step - begin, end - begin, self.args.get_warmup_steps(end - begin), shape)

        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, multiplier)
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        page_states(self.optimizer)
        # The next step's rate was saved as it was to be then; with more passes than were asked for then, it is another.
        scheduler = self.lr_scheduler
        rates = [rate * scheduler.lr_lambdas[0](scheduler.last_epoch) for rate in scheduler.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        scheduler._last_lr = rates

    def training_step(self, model: Any, inputs: Batch, num_items_in_batch: Count | None = None) -> Any:
        loss = self._learn_from(model, inputs, num_items_in_batch)
        self.step.add(loss)
        if self.ranks.several and self.accelerator.sync_gradients:
            self._join_step()
        return loss

    def _join_step(self) -> None:
        """Make of this process's part of a step the whole of it: gradients, and what is told of it."""
        self.ranks.sum_gradients([p for p in self.model.parameters() if p.requires_grad])
        self.step.join(self.ranks)

    def _learn_from(self, model: Any, inputs: Batch, num_items_in_batch: Count | None) -> torch.Tensor:
        info: BatchInfo = inputs[INFO]
        self.step.examples += info.positions
        self.step.tokens += info.tokens
        if not info.rows:
            return torch.zeros((), device=self.args.device)
        model.train()
        tiled = self._device.is_cuda and fits_tiled_head(self.model)
        with self._context.interruptible():
            self.objective.complete(model, inputs, self.pieces.at_once, self.model, tiled=tiled)
        self.step.batches.append(inputs)
        learn = super().training_step
        return self.pieces.compute(
            lambda piece: learn(model, piece, num_items_in_batch), self.step.batches, again=self.step.forget_losses
        )

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Count | None = None
    ) -> Any:
        # On a card TRL's own head computes in tiles and is fast; on a processor it takes longer than all at once.
        wanted = self._device.is_cuda or self.aux_loss_enabled or not logits_fit(self.model, inputs["scored"])
        tiled = wanted and fits_tiled_head(self.model)
        summed = self.objective.loss(model, inputs, head_of=self.model, tiled=tiled)
        if summed.measures is not None:
            self.step.measure(summed.measures, summed.count)
        count = num_items_in_batch if num_items_in_batch is not None else summed.count
        loss = summed.total / (count.clamp(min=1) if isinstance(count, torch.Tensor) else max(1, count))
        if summed.balance is None or not self.aux_loss_enabled:
            return loss
        return loss + self.router_aux_loss_coef * summed.balance / self.current_gradient_accumulation_steps

    def _clip_grad_norm(self, model: Any) -> Any:
        self.step.gradient_norm = super()._clip_grad_norm(model)
        return self.step.gradient_norm


def checkpoints_everything(arguments: SFTConfig) -> bool:
    """Whether every layer is computed again, so that doing so brings no more room."""
    return int((arguments.activation_checkpointing_kwargs or {}).get("every_n_layers", 1)) == 1


def page_states(optimizer: Any) -> None:
    """Give a paged optimizer's states, which come from a file as ordinary ones, back to where they may leave the card.
    Does nothing for others, and nothing on a processor."""
    inner = getattr(optimizer, "optimizer", optimizer)
    if not getattr(inner, "is_paged", False):
        return
    for parameter, state in inner.state.items():
        for name in ("state1", "state2"):
            value = state.get(name)
            if torch.is_tensor(value) and value.device.type == "cuda":
                paged = inner.get_state_buffer(parameter, dtype=value.dtype)  # a small one isn't paged, as ever
                torch.cuda.synchronize()  # it is filled with zeros meanwhile
                state[name] = paged.copy_(value)


def course_at(step: int, ends: Sequence[int]) -> tuple[int, int]:
    """The course that the step after `step` steps belongs to: after which step it begins, and its last one."""
    begin = 0
    for end in ends[:-1]:
        if step < end:
            return begin, end
        begin = end
    return begin, ends[-1]


def lr_multiplier(step: int, total: int, warm: int, shape: str) -> float:
    """The share of the learning rate in `step`, counted from 0: rises over `warm` steps, then falls to nearly
    nothing ("cosine", "linear") or stays ("constant"). Never zero, so that every step learns."""
    if step < warm:
        return (step + 1) / (warm + 1)
    if shape == "constant":
        return 1.0
    done = (step - warm) / max(1, total - warm)
    return 1.0 - done if shape == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


def rounds_products(device: Device) -> bool:
    """Whether a card has TF32, products of 32-bit numbers with fewer digits, and there are any to compute."""
    ampere = device.is_cuda and torch.cuda.get_device_capability(device.torch_device) >= AMPERE
    return ampere and device.dtype is torch.float32


def trainer_for(
    context: JobContext,
    run: RunFolder,
    plan: Plan,
    model: Network,
    device: Device,
    callback: TrainingCallback | None = None,
    method: TrainingMethod | None = None,
    ranks: Ranks = ALONE,
) -> StudioTrainer:
    """The trainer of a run, with its examples in their order. `callback` is called between two steps; `method` is the
    one that made `model`, needed where the training goes on. Of several `ranks`, this one computes its share."""
    training = plan.recipe.training
    batch, accumulation = plan.batch, plan.gradient_accumulation_steps
    rows = PositionedRows(plan.objective.rows(plan.dataset))
    lengths, longest = plan.dataset.lengths, plan.dataset.all_longest
    shares = None
    if ranks.several:
        division = Division(batch * accumulation, batch, ranks.world_size)
        order = LengthGroupedSampler(lengths, batch, training.seed, longest)
        shares = StepShares(order, lengths, division, ranks.rank)
        batch, accumulation = division.at_once, division.gradient_accumulation_steps
    recomputes = bool(training.activation_checkpointing) and plan.recipe.method.memory().recomputes
    arguments = SFTConfig(
        output_dir=str(run.path / "trainer"),  # never written to: saving is done here
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_steps=plan.total_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.lr_scheduler,
        warmup_steps=training.warmup_ratio,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        optim="adamw_torch_fused" if plan.optimizer is Optimizer.adamw else plan.optimizer.value,
        activation_checkpointing=recomputes,
        gradient_checkpointing=recomputes,
        activation_checkpointing_kwargs={
            "use_reentrant": False,
            "every_n_layers": training.checkpoint_every or 1,
            "offload": bool(training.activation_offloading) and device.is_cuda,
        },
        bf16=device.dtype is torch.bfloat16,
        fp16=device.dtype is torch.float16 and device.is_cuda,
        use_cpu=not device.is_cuda,
        seed=training.seed,
        data_seed=training.seed,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        dataloader_pin_memory=device.is_cuda,
        tf32=True if rounds_products(device) else None,
        accelerator_config={"non_blocking": device.is_cuda},
        logging_nan_inf_filter=False,
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        **({} if balances_experts(model) else {"router_aux_loss_coef": 0.0}),
        disable_tqdm=True,
    )
    trainer = StudioTrainer(
        context=context,
        device=device,
        objective=plan.objective,
        order=lambda: LengthGroupedSampler(lengths, plan.batch, training.seed, longest),
        course_ends=plan.course_ends,
        method=method or method_of(plan.recipe.method),
        layout=layout_for(model, device, training.packing, may_pack=plan.objective.packs),
        ranks=ranks,
        shares=shares,
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows[:1]),  # which TRL looks at, to see what it has
        processing_class=AutoTokenizer.from_pretrained(plan.base, local_files_only=True, trust_remote_code=False),
        callbacks=[callback] if callback else [],
    )
    trainer.train_dataset = rows
    trainer.remove_callback(transformers.PrinterCallback)
    if callback is not None:
        callback.step = trainer.step
    return trainer
