"""What other designs of a language model's step would give, and what the one result for a seed
costs: measured, so that the best can be chosen."""

import os
import sys
from functools import partial
from itertools import cycle, islice

from gpu.measure import DEVICE, SIZES, TINY, VOCABULARY, documents, each, keep, limited, timed

from hpsearch.trainers.text.batches import stream_batches
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model import fit
from hpsearch.trainers.text.language_model.files import new_language_model
from hpsearch.trainers.text.language_model.fit import LanguageModelFit, plan_stages

STEPS = 3 if TINY else 40
WARM = 4  # two ordinary steps, one that is recorded, one more


def rate(bs, pipeline_steps=0):
    """Tokens a second of training steps alone."""
    emb, hidden, layers = SIZES
    config = LanguageModelConfig(
        emb=emb, hidden=hidden, layers=layers, bs=bs, seq_len=70, epochs=1, drop_mult=0.3
    )
    docs, model = documents(n_tokens=bs * 70 * 10), new_language_model(config, VOCABULARY)
    run = LanguageModelFit(config, model, docs, device=DEVICE)
    model.encoder.pipeline_steps = pipeline_steps
    run.start_stage(plan_stages(config, len(run.groups))[-1])
    run.start_stream(0)
    batches = cycle(pair for pair in stream_batches(docs, bs, 70, DEVICE) if len(pair[0]) == 70)

    def train(n):
        for x, y in islice(batches, n):
            run.step(x, y, 0)

    train(WARM)
    return STEPS * bs * 70 / timed(partial(train, STEPS))


def designs(bs):
    keep(f"bs {bs}: as it is", rate(bs), "tokens/s")
    for steps in (7, 14, 24, 35):
        keep(f"bs {bs}: layers as a pipeline, {steps} steps", rate(bs, steps), "tokens/s")


def single_launches(bs):
    captured = fit.CapturedStep
    fit.CapturedStep = lambda step, **_: step
    try:
        keep(f"bs {bs}: without a graph", rate(bs), "tokens/s")
    finally:
        fit.CapturedStep = captured


def any_result(bs):
    """CUDA's libraries are asked before they start: another process."""
    command = [sys.executable, __file__, "rate", str(bs)]
    status, said = limited(command, 60, {"HPSEARCH_DETERMINISTIC": "0"})
    if status != 0:
        raise RuntimeError(f"The process ended with {status}: {said[-1000:]}")
    keep(f"bs {bs}: results may differ from run to run", float(said.split()[-1]), "tokens/s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["rate"]:
        print(rate(int(sys.argv[2])))
    else:
        sizes = (4,) if os.environ.get("GPU_TINY") else (48, 256)
        each(
            *(partial(work, bs) for work in (designs, single_launches, any_result) for bs in sizes)
        )
