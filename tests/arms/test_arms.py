"""The arms' promises: equal where they must be equal, different where they must differ, gradients
as their equations say.
"""

import re
import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize
from transformers import AutoModel

from small_encoders import build
from tiny_runs import corpus, encoder, step_of, tiny_run, weights
from xgrl import arms
from xgrl.arms import (
    ARMS,
    arm_class,
    arm_classes,
    arm_spec,
    arms_in_order,
    check_encoder,
    checkpoint_of,
    method_of,
    refusal,
    robust,
)
from xgrl.arms.alignment import repeated_pairs
from xgrl.arms.base import Arm, ArmSettings, Step
from xgrl.arms.lexical import triplet_loss
from xgrl.models.encoder import load_encoder, save_checkpoint
from xgrl.models.heads import mean_pool
from xgrl.models.split import keep_layers
from xgrl.tasks import find_task

TRAINED = [name for name, spec in ARMS.items() if spec.trains]


def test_dann_with_lambda_zero_equals_control_bit_for_bit():
    dann, control = tiny_run("dann", lambda_max=0.0), tiny_run("control")
    assert torch.equal(weights(dann.model), weights(control.model))
    same = ["step", "task_loss", "domain_loss", "discriminator_accuracy", "feature_norm"]
    assert dann.fit.curves[same].equals(control.fit.curves[same])


def test_dann_changes_the_encoder_and_control_does_not_feel_the_discriminator():
    control = tiny_run("control")
    assert not torch.equal(
        weights(tiny_run("dann", lambda_max=1.0).model.encoder), weights(control.model.encoder)
    )
    other = tiny_run("control", discriminator_learning_rate=1e-4)
    assert torch.equal(weights(other.model.encoder), weights(control.model.encoder))
    assert not torch.equal(weights(other.model.arm), weights(control.model.arm))


def test_an_opposed_discriminator_does_worse():
    control, dann = tiny_run("control", steps=60), tiny_run("dann", steps=60, lambda_max=3.0)
    accuracy = [run.fit.curves["discriminator_accuracy"].tail(15).mean() for run in (control, dann)]
    # two domains with different words: an unopposed discriminator finds them
    assert accuracy[0] > 50 + 10
    assert accuracy[1] < accuracy[0] - 5


def test_labels_that_are_permuted_cannot_be_learned():
    accuracy = [
        tiny_run(arm, steps=80).fit.curves["discriminator_accuracy"].tail(30).mean()
        for arm in ("control", "shuffled")
    ]
    assert accuracy[0] > 80 and abs(accuracy[1] - 50) < 12


@pytest.mark.parametrize("arm", TRAINED)
def test_every_arm_trains_sees_the_same_labelled_batches_and_repeats_itself_bit_for_bit(arm):
    run, again, standard = (tiny_run(name, steps=5) for name in (arm, arm, "standard"))
    assert run.fit.diverged is None and np.isfinite(run.fit.curves.task_loss).all()
    assert torch.equal(weights(run.model), weights(again.model))
    assert all(np.array_equal(a, b) for a, b in zip(run.data.rows, standard.data.rows, strict=True))


@pytest.mark.parametrize("kind", ["bert", "xlm-r"])
@pytest.mark.parametrize("arm", TRAINED)
def test_every_arm_trains_every_layer_too(arm, kind):
    run = tiny_run(
        arm,
        steps=2,
        base=build(kind),
        k=0,
        settings=ArmSettings(32, 2, 0.1, classes=2, mask_id=4, special_ids=(0, 1, 2)),
    )
    assert run.fit.diverged is None and torch.isfinite(weights(run.model)).all()


# The gradient of every adversary: what the encoder feels is -lambda times the slope of the
# discriminator's own loss, which finite differences give without autograd.


@pytest.mark.parametrize(
    ("name", "tokens"),
    [(name, tokens) for name in ("dann", "shuffled", "wdgrl") for tokens in (False, True)],
)
def test_the_encoder_feels_minus_lambda_times_the_discriminators_slope(name, tokens):
    torch.manual_seed(1)
    read = torch.randn(8, 3, 6, dtype=torch.float64, requires_grad=True)
    domains, weight = torch.arange(8) % 2, 0.3

    def loss(values, lambda_max):
        torch.manual_seed(2)  # the same discriminator, permutation and interpolation each time
        arm = arm_class(name)(ArmSettings(6, 2, lambda_max, tokens=tokens, classes=2)).double()
        return arm(step_of(values, domains))

    term, curves = loss(read, weight)
    assert curves["lambda"] == pytest.approx(weight, rel=1e-3)
    term.backward()
    # its penalty reads detached features: the encoder does not feel it
    penalty_free = name == "wdgrl"
    for place in [(0, 0, 0), (3, 1, 2), (7, 2, 5), (4, 0, 1)]:
        moved = []
        for sign in (1, -1):
            values = read.detach().clone()
            values[place] += sign * 1e-5
            found, own = loss(values, weight)
            moved.append(own["domain_loss"] if penalty_free else found.item())
        slope = (moved[0] - moved[1]) / 2e-5
        assert read.grad[place].item() == pytest.approx(
            -curves["lambda"] * slope, rel=1e-4, abs=1e-9
        )
    assert read.grad.abs().sum() > 0


def test_cdans_gradient_at_fixed_predictions():  # none passes through them
    torch.manual_seed(1)
    features = torch.randn(8, 1, 6, dtype=torch.float64, requires_grad=True)
    domains = torch.arange(8) % 2
    arm = arm_class("cdan")(ArmSettings(6, 2, 0.3, classes=2)).double()
    step = step_of(features, domains)
    term, curves = arm(step)
    term.backward()
    predictions = step.model.head_of("")(features[:, 0]).softmax(-1).detach()

    def loss(values):
        return cross_entropy(
            arm.discriminators[0](torch.einsum("nh,nc->nhc", values, predictions).flatten(1)),
            domains,
        ).item()

    for place in [(0, 0), (5, 3)]:
        up, down = (features.detach()[:, 0].clone() for _ in range(2))
        up[place] += 1e-5
        down[place] -= 1e-5
        slope = (loss(up) - loss(down)) / 2e-5
        assert features.grad[:, 0][place].item() == pytest.approx(
            -curves["lambda"] * slope, rel=1e-4
        )


def test_the_discriminator_descends_its_own_loss_at_full_weight():
    torch.manual_seed(0)
    read, domains = torch.randn(8, 1, 6), torch.arange(8) % 2
    gradients = []
    for lambda_max in (0.0, 5.0):
        torch.manual_seed(3)
        arm = arm_class("dann")(ArmSettings(6, 2, lambda_max))
        arm(step_of(read, domains))[0].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in arm.discriminators.parameters()]))
    assert torch.equal(*gradients)


def test_the_critic_is_held_to_slope_one_and_measures_a_shift():
    torch.manual_seed(0)
    arm = arm_class("wdgrl")(ArmSettings(4, 2, 0.0))
    optimiser, domains = torch.optim.Adam(arm.parameters(), 1e-2), torch.arange(64) % 2
    for _ in range(400):
        read = torch.randn(64, 1, 4)
        read[domains == 0, :, 0] += 3.0
        optimiser.zero_grad()
        term, curves = arm(step_of(read, domains))
        term.backward()
        optimiser.step()
    # the distance of two equal clouds 3 apart
    assert -curves["domain_loss"] == pytest.approx(3.0, abs=0.7)


def test_the_worst_perturbation_has_the_radius_and_is_worse_than_a_random_one():
    run = tiny_run("robust-adversarial", steps=3, lambda_max=0.3)
    batch = run.data[0]
    model = run.model.eval()
    labels = batch.pop("labels")
    batch.pop("domains"), batch.pop("task")
    inputs = model.arm.alter(batch, len(labels), model.encoder)
    hidden = model.hidden(**inputs)
    pooled, mask = mean_pool(hidden, inputs["attention_mask"]), inputs["attention_mask"]
    loss = model.head.loss(model.head(pooled), labels, mask)
    step = Step(model, inputs, hidden, [hidden], len(labels), labels, torch.empty(0), "", loss, 1.0)
    delta = model.arm.perturbation(step)
    x = inputs["inputs_embeds"].detach()
    real = mask.unsqueeze(-1)
    assert (delta * (1 - real)).abs().sum() == 0
    size = torch.linalg.vector_norm(x * real, dim=(1, 2))
    torch.testing.assert_close(torch.linalg.vector_norm(delta, dim=(1, 2)), 0.3 * size)

    def loss_at(place):
        return model.head.loss(
            model.head(mean_pool(model.hidden(inputs_embeds=place, attention_mask=mask), mask)),
            labels,
            mask,
        ).item()

    noise = torch.randn_like(x) * real
    noise *= (0.3 * size / torch.linalg.vector_norm(noise, dim=(1, 2)))[:, None, None]
    assert loss_at(x + delta) > loss_at(x + noise) and loss_at(x + delta) > loss.item()
    # finite difference along the perturbation: the slope is the gradient's
    slope = torch.autograd.grad(loss, inputs["inputs_embeds"], retain_graph=True)[0]
    direction = delta / delta.norm()
    numeric = (loss_at(x + 1e-2 * direction) - loss_at(x - 1e-2 * direction)) / 2e-2
    assert numeric == pytest.approx((slope * direction).sum().item(), rel=0.02)


def test_smoothing_moves_each_token_by_the_radius_in_a_new_direction():
    arm = arm_class("robust-smoothing")(ArmSettings(6, 0, 0.2))
    x = torch.randn(4, 5, 6)
    first, second = (
        arm.alter({"inputs_embeds": x, "attention_mask": torch.ones(4, 5)}, 4, None)[
            "inputs_embeds"
        ]
        for _ in range(2)
    )
    torch.testing.assert_close((first - x).norm(dim=-1), 0.2 * x.norm(dim=-1))
    assert not torch.equal(first, second)


def test_masking_asks_for_ordinary_tokens_only_and_for_their_share():
    arm = arm_class("mlm")(ArmSettings(16, 2, 0.1, mask_id=4, special_ids=(0, 1, 2, 3, 4)))
    arm.attach(encoder(), torch.nn.Identity())
    ids = torch.randint(5, 60, (200, 30))
    ids[:, 0], ids[:, -5:] = 0, 1
    mask = torch.ones_like(ids)
    mask[:, -5:] = 0
    changed, wanted = arm.mask(ids, mask)
    asked = wanted != -100
    assert not asked[:, 0].any() and not asked[:, -5:].any()
    assert asked.float().sum() / (200 * 24) == pytest.approx(0.15, abs=0.02)
    assert torch.equal(wanted[asked], ids[asked]) and torch.equal(changed[~asked], ids[~asked])
    fate = changed[asked]
    assert (fate == 4).float().mean() == pytest.approx(0.8, abs=0.05)
    assert (fate == ids[asked]).float().mean() == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("k", [0, 2])
def test_masked_words_are_learned_and_the_frozen_word_embedding_stays(k):
    base = encoder()
    before = base.get_input_embeddings().weight.detach().clone()
    run = tiny_run("mlm", steps=80, lambda_max=1.0, base=base, k=k)
    losses = run.fit.curves.arm_loss.dropna()
    assert losses.tail(10).mean() < losses.head(10).mean() - 0.1
    assert torch.equal(before, base.get_input_embeddings().weight) == (k > 0)


def test_translations_come_with_their_own_texts_and_labels():
    run = tiny_run("translated", steps=6)
    for step in range(6):
        batch = run.data[step]
        half = len(batch["labels"])
        assert torch.equal(batch["labels"], batch["domains"])
        own, other = batch["input_ids"][:half], batch["input_ids"][half:]
        assert torch.equal(torch.where(own == 1, 1, own + 25), other)  # 1 is padding


def test_labels_in_translation_reach_the_other_language():
    foreign = corpus(64, 30, 50, 2)
    from xgrl.evaluation.readout import dev_accuracy

    right = [
        dev_accuracy(tiny_run(arm, steps=80, lambda_max=1.0).model, foreign)[0]
        for arm in ("standard", "translated")
    ]
    assert right[1] > 58 and right[1] > right[0]


def test_triplets():
    english, own = normalize(torch.eye(3), dim=-1), torch.eye(3, dtype=torch.bool)
    assert triplet_loss(english, english, own) == 0  # every pair equal, the others orthogonal
    worst = triplet_loss(english, english.roll(1, 0), own, margin=0.2)
    assert worst == pytest.approx(1.2)  # own pair at 0, another's at 1


def test_another_translation_of_the_same_text_is_no_negative():
    english = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    foreign = normalize(torch.tensor([[0.8, 0.6], [1.0, 0.0], [0.0, 1.0]]), dim=-1)
    inputs = {"input_ids": torch.tensor([[5, 6], [1, 1], [5, 6], [2, 2], [7, 8], [3, 3]])}
    repeated = repeated_pairs(inputs)
    assert repeated.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    own = torch.eye(3, dtype=torch.bool)
    assert triplet_loss(english, foreign, repeated) < triplet_loss(english, foreign, own)


@pytest.mark.parametrize("k", [0, 2])
def test_adapters_bring_pairs_together_and_end_up_in_an_ordinary_checkpoint(tmp_path, k):
    base = encoder(dropout=0.0)
    before = {name: value.clone() for name, value in base.state_dict().items()}
    run = tiny_run("lexical", steps=60, lambda_max=1.0, base=base, k=k)
    losses = run.fit.curves.arm_loss
    assert losses.tail(10).mean() < losses.head(10).mean()
    ids, mask = torch.tensor([[0, 10, 12, 2]]), torch.ones(1, 4, dtype=torch.long)
    with torch.no_grad():
        adapted = run.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        run.model.arm.detach(base)
        torch.testing.assert_close(
            base.eval()(input_ids=ids, attention_mask=mask).last_hidden_state,
            adapted,
            atol=1e-5,
            rtol=1e-4,
        )
    changed = {
        name for name, value in base.state_dict().items() if not torch.equal(value, before[name])
    }
    below = {
        name
        for name in changed
        if name.startswith(("encoder.layer.0", "encoder.layer.1", "embeddings"))
    }
    assert below == {
        f"encoder.layer.{i}.attention.self.{part}.weight"
        for i in (0, 1)
        for part in ("query", "value")
    }
    save_checkpoint(base, tmp_path / "checkpoint", None, "tiny")
    with torch.no_grad():
        loaded = (
            AutoModel.from_pretrained(tmp_path / "checkpoint")
            .eval()(input_ids=ids, attention_mask=mask)
            .last_hidden_state
        )
    torch.testing.assert_close(loaded, adapted, atol=1e-5, rtol=1e-4)


def test_an_arm_that_writes_into_the_lower_layers_says_so():
    """The targets then run these layers again, whatever text the arm reads: an arm of one's own may
    do so as well.
    """
    settings = ArmSettings(32, 2, 0.1, classes=2, mask_id=4)
    changed = {name for name in TRAINED if arm_class(name)(settings).changes_lower_layers}
    assert changed == {"lexical"}


def test_centring_takes_the_languages_mean_away():
    centre = arm_spec("centring").vectors
    vectors = np.random.default_rng(0).normal(size=(7, 3)) + 10
    np.testing.assert_allclose(centre(vectors).mean(0), 0, atol=1e-12)
    np.testing.assert_array_equal(centre(vectors[:1]), vectors[:1])
    assert arm_spec("standard").vectors is None


# The table


@pytest.mark.parametrize("name", ["none", "centring", "leace-dann"])
def test_arms_that_train_nothing(name):
    with pytest.raises(ValueError, match="allowed: standard"):
        arm_class(name)


@pytest.mark.parametrize("name", ["dan", "", "dann_2", "dannx"])
def test_names_that_no_arm_has(name):
    with pytest.raises(ValueError, match="unknown; allowed: none, standard"):
        method_of(name)


def test_variants_belong_to_the_longest_name_that_fits():
    assert method_of("dann-0.01") == "dann"
    assert method_of("robust-adversarial-0.3") == "robust-adversarial"
    assert arm_spec("dann-tokens") is ARMS["dann"] and arm_class("dann-tokens") is arm_class("dann")


@pytest.mark.parametrize(
    ("arm", "checkpoint"),
    [
        ("dann", "dann"), ("dann-0.01", "dann-0.01"), ("none", "none"), ("leace", "standard"),
        ("leace-dann", "dann"), ("centring-dann-0.01", "dann-0.01"),
    ],
)  # fmt: skip
def test_an_arm_that_trains_nothing_takes_the_checkpoint_that_it_names(arm, checkpoint):
    assert checkpoint_of(arm) == checkpoint


def test_every_arm_of_the_table_exists_and_explains_itself():
    assert list(arm_classes()) == TRAINED
    for name, spec in ARMS.items():
        if spec.trains:
            assert issubclass(arm_class(name), Arm)
        if made := arm_class(name) if spec.trains else spec.vectors:
            assert "Source" in sys.modules[made.__module__].__doc__ or name == "standard"
        assert (bool(spec.vectors) or spec.erases) == bool(spec.checkpoint)


def test_arms_are_refused_for_what_they_cannot_serve():
    sarcasm, qa = find_task("sarcasm", "intermediate"), find_task("qa", "intermediate")
    emoji, intent = find_task("emoji-names", "target"), find_task("intent", "target")
    assert refusal("centring", intent)
    assert not refusal("centring", emoji)
    assert not refusal("dann", intent)
    assert "classification only" in refusal("cdan", qa) and not refusal("cdan", sarcasm)
    assert "translations" in refusal("translated", sarcasm)
    assert not refusal("translated", sarcasm, translations=["de"])
    assert "binary" in refusal("wdgrl", sarcasm, domains="languages")
    assert not refusal("wdgrl", sarcasm, domains="binary")


def test_what_an_arm_cannot_be_built_from():
    with pytest.raises(ValueError, match="at least two classes"):
        arm_class("cdan")(ArmSettings(8, 2, 0.1, classes=0))
    with pytest.raises(ValueError, match="two domains"):
        arm_class("wdgrl")(ArmSettings(8, 3, 0.1))


def test_an_arm_of_ones_own_as_the_page_shows_it(tmp_path, monkeypatch, root):
    """One file, and its two lines beside the table."""
    section = (root / "docs/own.md").read_text().split("## Your own arm")[1].split("\n## ")[0]
    code, line = re.findall(r"```python\n(.*?)```", section, re.S)
    (tmp_path / "coral.py").write_text(code)
    monkeypatch.setattr(arms, "__path__", [*arms.__path__, str(tmp_path)])
    for name, spec in eval("{" + line + "}", {"ArmSpec": arms.ArmSpec}).items():
        monkeypatch.setitem(ARMS, name, spec)
    classes = arms.arm_classes() | {"coral": import_module("xgrl.arms.coral").CORAL}
    monkeypatch.setattr(arms, "arm_classes", lambda: classes)
    run, other = (
        tiny_run("coral", steps=60, lambda_max=30.0),
        tiny_run("coral", steps=60, lambda_max=0.0),
    )
    gaps = [each.fit.curves.arm_loss.tail(20).mean() for each in (run, other)]
    # English and foreign features spread more alike
    assert run.fit.diverged is None and gaps[0] < gaps[1]
    assert refusal("coral", find_task("sarcasm", "intermediate"), domains="languages")


def test_encoders_that_an_arm_cannot_use():
    model, tokenizer = load_encoder("tiny")
    check_encoder([*ARMS, "mlm-0.3"], model, tokenizer)
    tokenizer.mask_token = None
    with pytest.raises(
        ValueError, match=r"arm='mlm-0.3': the encoder's tokenizer has no mask token"
    ):
        check_encoder(["dann", "mlm-0.3"], model, tokenizer)
    with pytest.raises(ValueError, match="no linear layers named query and value"):
        check_encoder(["lexical"], build("modernbert"), tokenizer)
    with pytest.raises(ValueError, match="need a deeper encoder than one of 2"):
        shallow, _ = load_encoder("tiny")
        keep_layers(shallow, 0, 2)
        check_encoder(["lexical"], shallow, tokenizer)


def test_arms_stand_in_the_order_of_the_table_and_variants_by_their_number():
    given = ["mlm", "dann-0.1", "centring", "dann", "none", "dann-0.01", "robust-smoothing"]
    assert arms_in_order([*given, "standard", "dann-binary", "control"]) == [
        "none", "standard", "control", "dann", "dann-0.01", "dann-0.1", "dann-binary", "mlm",
        "robust-smoothing", "centring",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="unknown"):
        arms_in_order(["dan"])


def test_vectors_in_the_place_of_pairs_keep_their_segments():
    model = build("bert")
    ids, second = torch.arange(5, 17).reshape(2, 6), torch.tensor([[0, 0, 0, 1, 1, 1]] * 2)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": second}
    vectors = robust._as_vectors(inputs, model)
    found, expected = (model(**each).last_hidden_state for each in (vectors, inputs))
    assert torch.equal(found, expected) and "input_ids" not in vectors
