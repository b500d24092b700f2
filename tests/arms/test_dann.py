"""The adversary's settings: each does what its name says, and left alone none changes a bit."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tiny_runs import encoder, step_of, tiny_run, weights
from xgrl import arms
from xgrl.arms import arm_class
from xgrl.arms.base import Arm, ArmSettings
from xgrl.models.grl import Discriminator, gradient_reversal, lambda_at
from xgrl.models.heads import mean_pool
from xgrl.training import trainer

EVERYTHING = {"updates": 3, "warmup": 0.2, "width": 12, "depth": 2, "discriminators": 2,
              "renewal": 5, "dose": "ratio", "layers": (1, -1)}  # fmt: skip


def settings(lambda_max=0.5, **changes):
    return ArmSettings(16, 2, lambda_max, classes=2, **changes)


def run(arm="dann", steps=12, lambda_max=0.5, **changes):
    return tiny_run(arm, steps=steps, settings=settings(lambda_max, **changes))


class Plain(Arm):
    """DANN in its plainest form: one joint step, nothing to set."""

    def __init__(self, given):
        super().__init__(given)
        self.net = Discriminator(given.features, given.domains)

    def forward(self, step):
        weight = lambda_at(step.progress, self.settings.lambda_max)
        features = mean_pool(step.hidden[step.count :], step.mask[step.count :])
        loss = cross_entropy(self.net(gradient_reversal(features, weight)), step.domains)
        return loss, {"domain_loss": loss.item(), "lambda": weight}


def test_settings_that_are_left_alone_change_no_bit(monkeypatch):
    found = run()
    monkeypatch.setattr(arms, "arm_classes", lambda: {"dann": Plain})
    expected = run()
    assert isinstance(expected.model.arm, Plain)
    assert torch.equal(weights(found.model), weights(expected.model))
    same = ["task_loss", "domain_loss", "lambda", "arm_gradient_norm"]
    assert found.fit.curves[same].equals(expected.fit.curves[same])


@pytest.mark.parametrize("dose", ["lambda", "ratio"])
def test_dann_with_strength_zero_equals_control_whatever_else_is_set(dose):
    given = EVERYTHING | {"dose": dose}
    dann, control = run(lambda_max=0.0, **given), run("control", lambda_max=0.0, **given)
    assert torch.equal(weights(dann.model), weights(control.model))


def test_further_updates_move_the_discriminator_alone_and_with_its_own_moments(monkeypatch):
    made, AdamW = [], torch.optim.AdamW
    monkeypatch.setattr(
        torch.optim, "AdamW", lambda *a, **k: made.append(AdamW(*a, **k)) or made[-1]
    )
    one, four = run("control"), run("control", updates=4)
    assert torch.equal(weights(one.model.encoder), weights(four.model.encoder))
    assert torch.equal(weights(one.model.head), weights(four.model.head))
    assert not torch.equal(weights(one.model.arm), weights(four.model.arm))
    for made_by, model, factor in zip(made, (one.model, four.model), (1, 4), strict=True):
        for name, group in model.groups().items():
            steps = {made_by.state[weight]["step"].item() for weight in group}
            assert steps == {12 * (factor if name == "arm" else 1)}
    # after training its modules stay as they are
    before = weights(four.model.arm)
    four.model.arm.descend(sum(weight.sum() for weight in four.model.arm.parameters()))
    assert torch.equal(weights(four.model.arm), before)


def test_further_updates_are_shown_as_they_find_a_batch_and_make_a_better_discriminator():
    one, four = (run("control", steps=40, updates=k).fit.curves for k in (1, 4))
    assert one.domain_loss[0] == four.domain_loss[0], "not after it has learned from the batch"
    assert four.domain_loss.tail(10).mean() < one.domain_loss.tail(10).mean()


def test_nothing_is_reversed_before_the_warm_up_has_ended():
    warm, control = (run(arm, steps=20, warmup=0.5) for arm in ("dann", "control"))
    curve = warm.fit.curves["lambda"]
    assert (curve[:11] == 0).all() and (np.diff(curve[10:]) > 0).all()
    assert curve[15] == pytest.approx(lambda_at(0.5, 0.5))
    # the losses of the first half are before its steps
    same = warm.fit.curves.task_loss == control.fit.curves.task_loss
    assert same[:12].all() and not same[12:].all()


def test_the_loss_of_several_is_their_mean_and_they_differ():
    torch.manual_seed(0)
    read, domains = torch.randn(8, 2, 16), torch.arange(8) % 2
    arm = arm_class("dann")(settings(discriminators=3))
    each = [cross_entropy(net(read.mean(1)), domains) for net in arm.discriminators]
    assert len({loss.item() for loss in each}) == 3
    term, _ = arm(step_of(read, domains))
    assert term.item() == pytest.approx(torch.stack(each).mean().item())


@pytest.mark.parametrize(("depth", "sizes"), [(0, [(2, 16)]), (2, [(9, 16), (9, 9), (2, 9)])])
def test_width_and_depth(depth, sizes):
    arm = arm_class("dann")(settings(width=9, depth=depth))
    shapes = [tuple(w.shape) for w in arm.discriminators.parameters() if w.ndim == 2]
    assert shapes == sizes


def test_a_fresh_discriminator_takes_the_place_of_one_in_turn_and_has_no_past(monkeypatch):
    made, AdamW = [], torch.optim.AdamW
    monkeypatch.setattr(
        torch.optim, "AdamW", lambda *a, **k: made.append(AdamW(*a, **k)) or made[-1]
    )
    ran = run(steps=12, discriminators=2, renewal=4)  # the first after 4 steps, the second after 8
    past = [{made[0].state[w]["step"].item() for w in net.parameters()}
            for net in ran.model.arm.discriminators]  # fmt: skip
    assert past == [{8}, {4}]
    torch.manual_seed(3)
    arm = arm_class("dann")(settings(renewal=4))
    state, before = torch.get_rng_state(), weights(arm)
    assert arm.renew(0) == arm.renew(3) == [] and torch.equal(weights(arm), before)
    assert {id(w) for w in arm.renew(4)} == {id(w) for w in arm.parameters()}
    first = weights(arm)
    arm.renew(8)
    assert not torch.equal(first, before) and not torch.equal(first, weights(arm))
    arm.renew(4)
    assert torch.equal(first, weights(arm)) and torch.equal(state, torch.get_rng_state())


def sent(arm, factor=1.0, progress=1.0, tokens=False):
    """What an arm sends into hidden states of 4 labelled and 8 other texts, and the task's norm."""
    torch.manual_seed(0)
    read = torch.randn(12, 3, 16, requires_grad=True)
    step = step_of(read, torch.arange(8) % 2, progress)
    task_loss = factor * (read[:4] ** 2).sum()
    step = step.__class__(**vars(step) | {"count": 4, "task_loss": task_loss})
    term, curves = arm(step)
    (felt,) = torch.autograd.grad(term, read)
    return felt, (2 * factor * read[:4]).norm().item(), curves


@pytest.mark.parametrize("name", ["dann", "shuffled", "wdgrl", "cdan", "noise", "dann-source"])
@pytest.mark.parametrize("tokens", [False, True])
def test_under_the_dose_by_ratio_the_norm_is_that_share_of_the_task_s(name, tokens):
    if name == "cdan" and tokens:
        pytest.skip("its head reads texts")
    torch.manual_seed(1)
    arm = arm_class(name)(settings(0.3, dose="ratio", tokens=tokens))
    for factor in (1.0, 100.0):  # another task, another learning rate
        arm.task_norms.zero_()
        felt, task, curves = sent(arm, factor)
        assert felt.norm().item() == pytest.approx(curves["lambda"] * task, rel=1e-4)
        assert curves["lambda"] == pytest.approx(0.3, rel=1e-3)
    felt, now, _ = sent(arm)  # a running mean: nine parts of what was
    assert felt.norm().item() == pytest.approx(0.3 * (0.9 * task + 0.1 * now), rel=1e-3)


def test_the_dose_by_ratio_changes_size_and_not_direction():
    felt = []
    for dose in ("lambda", "ratio"):
        torch.manual_seed(1)
        felt.append(sent(arm_class("dann")(settings(0.3, dose=dose)))[0].flatten())
    assert torch.cosine_similarity(*felt, dim=0).item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("tokens", [False, True])
def test_noise_has_dann_s_norm_and_shape_and_no_direction_of_its_own(tokens):
    found, cosines = {}, []
    for name in ("dann", "noise"):
        torch.manual_seed(1)
        arm = arm_class(name)(settings(0.3, tokens=tokens))
        found[name] = sent(arm)[0]
        for _ in range(40 if name == "noise" else 0):
            pair = [each[4:].flatten() for each in (found["dann"], sent(arm)[0])]
            cosines.append(torch.cosine_similarity(*pair, dim=0).item())
    dann, noise = found["dann"], found["noise"]
    # the same discriminator on the same features: what it would send
    assert noise.norm().item() == pytest.approx(dann.norm().item(), rel=1e-4)
    assert noise[:4].abs().sum() == 0, "labelled texts feel nothing"
    of_a_text = [bool(torch.allclose(x[4:, 0], x[4:, 1])) for x in (dann, noise)]
    assert of_a_text == [not tokens] * 2
    assert abs(np.mean(cosines)) < 0.05 and len(set(cosines)) == 40


@pytest.mark.slow
def test_the_noise_of_a_run_has_the_norm_of_dann_s_gradient_in_its_block():
    runs = {arm: run(arm, steps=64, lambda_max=0.3, dose="ratio") for arm in ("dann", "noise")}
    norms = {arm: r.fit.curves.arm_feature_gradient.dropna() for arm, r in runs.items()}
    ratio = (norms["noise"] / norms["dann"])[norms["dann"] > 0]
    assert len(ratio) == trainer.MEASURED and ratio.between(0.8, 1.25).all(), ratio.tolist()


def test_a_discriminator_on_every_layer_is_felt_by_every_layer():
    torch.manual_seed(0)
    reads = [torch.randn(8, 3, 16, requires_grad=True) for _ in range(3)]
    domains = torch.arange(8) % 2
    arm = arm_class("dann")(settings(layers=(1, 2, -1)))
    step = step_of(reads[0], domains)
    term, curves = arm(step.__class__(**vars(step) | {"read": reads}))
    losses = [cross_entropy(net(x.mean(1)), domains) for net, x in
              zip(arm.discriminators, reads, strict=True)]  # fmt: skip
    assert term.item() == pytest.approx(torch.stack(losses).mean().item())
    for layer, read in enumerate(reads):
        (slope,) = torch.autograd.grad(losses[layer] / 3, read, retain_graph=True)
        (felt,) = torch.autograd.grad(term, read, retain_graph=True)
        torch.testing.assert_close(felt, -curves["lambda"] * slope)


def test_every_layer_of_an_encoder_is_read():
    ran = run(steps=3, layers=(1, 2, -1), dose="ratio")
    assert len(ran.model.arm.discriminators) == 3 and (ran.model.arm.task_norms > 0).all()
    assert ran.fit.diverged is None


@pytest.mark.parametrize("domains", [2, 4])
def test_the_source_counts_as_one_domain(domains):
    """Loss and accuracy are means over domains, the labelled texts among the English ones."""
    torch.manual_seed(0)
    arm = arm_class("dann-source")(ArmSettings(16, domains, 0.3, english=1))
    read, told = torch.randn(20, 3, 16, requires_grad=True), torch.arange(8) % domains
    step = step_of(read, told)
    term, curves = arm(step.__class__(**vars(step) | {"count": 12}))
    answers = torch.cat([torch.full((12,), 1), told])
    scores = arm.discriminators[0](read.mean(1))
    each = cross_entropy(scores, answers, reduction="none")
    expected = torch.stack([each[answers == d].mean() for d in range(domains)]).mean()
    assert term.item() == pytest.approx(expected.item(), rel=1e-5)
    right = (scores.argmax(1) == answers).double()
    shares = [right[answers == d].mean().item() for d in range(domains)]
    assert curves["discriminator_accuracy"] == pytest.approx(100 * np.mean(shares))
    (felt,) = torch.autograd.grad(term, read)
    assert (felt.flatten(1).norm(dim=1) > 0).all(), "labelled texts too"


def test_a_source_without_foreign_text_in_a_batch_stays_a_number():
    arm = arm_class("dann-source")(ArmSettings(16, 3, 0.3))
    term, _ = arm(step_of(torch.randn(4, 2, 16), torch.zeros(4, dtype=torch.long)))
    assert torch.isfinite(term)


def test_the_critic_is_held_to_slope_one_at_both_ends_and_between():
    class Square(nn.Module):  # of slope |x|
        def forward(self, x):
            return (x**2 / 2).sum(-1)

    arm = arm_class("wdgrl")(ArmSettings(1, 2, 0.1))
    domains = torch.arange(8) % 2
    features = torch.where(domains == 1, 2.0, 0.0)[:, None]
    state = arm.generator.get_state()
    found = arm.penalty(Square(), features, domains)
    arm.generator.set_state(state)
    share = torch.rand(4, 1, generator=arm.generator)
    expected = (1 + 1 + ((2 * share - 1) ** 2).mean()) / 3  # slopes 0, 2 and 2 u
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_cdan_conditions_on_predictions_without_dropout():
    torch.manual_seed(1)
    read = torch.randn(8, 1, 16)
    arm, step = arm_class("cdan")(settings()), step_of(read, torch.arange(8) % 2)
    head = step.model.head_of("")
    head.dropout.p = 0.9
    head.train()
    found = arm.features(step, read)
    predictions = head.eval()(read[:, 0]).softmax(-1)
    torch.testing.assert_close(
        found, torch.einsum("nh,nc->nhc", read[:, 0], predictions).flatten(1)
    )


def test_a_batch_in_parts_has_the_same_dose():
    runs = [
        tiny_run("dann", steps=3, base=encoder(0.0), settings=settings(dose="ratio"),
                 micro_batch_size=size)
        for size in (0, 5)
    ]  # fmt: skip
    whole, parts = (weights(each.model) for each in runs)
    torch.testing.assert_close(whole, parts, atol=2e-4, rtol=1e-3)
