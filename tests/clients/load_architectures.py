"""Loads views of one tiny checkpoint with transformers and compares them with the checkpoint itself.

load_architectures.py MODEL SCHEME...    with the checkpoint in $SHARE/models/MODEL and views in $SHARE/views/MODEL-SCHEME

Prints "MODEL SCHEME loaded", or "MODEL SCHEME failed: why". scripts/test-architectures runs it.
"""

import os
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import torch
import transformers
from transformers import (AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMaskedLM,
                          AutoModelForSeq2SeqLM, AutoModelForSpeechSeq2Seq)

CLASSES = {"causal": AutoModelForCausalLM, "vlm": AutoModelForImageTextToText, "seq2seq": AutoModelForSeq2SeqLM,
           "speech": AutoModelForSpeechSeq2Seq, "masked": AutoModelForMaskedLM}
# The share of a parameter's largest value that a code may be off by.
MOST_LOST = {"int8-channel": 0.01, "uint8": 0.02, "uint4-group": 0.25, "rate": 0.5, "trellis": 0.5}


def load(kind, folder):
    model, info = CLASSES[kind].from_pretrained(folder, dtype=torch.bfloat16, output_loading_info=True)
    return model.state_dict(), {key: sorted(map(str, value)) for key, value in info.items() if value}


def difference(original, loaded, scheme):
    """What is wrong with the loaded parameters, or None."""
    if original[1] != loaded[1]:
        return f"loading says {loaded[1]}"
    if original[0].keys() != loaded[0].keys():
        return "other parameters"
    for name, was in original[0].items():
        now = loaded[0][name]
        if was.shape != now.shape or was.dtype != now.dtype:
            return f"{name}: other shape or dtype"
        if not was.is_floating_point() or was.numel() == 0:
            if not torch.equal(was, now):
                return f"{name}: changed"
            continue
        off = (was.float() - now.float()).abs().max().item()
        if not off <= MOST_LOST[scheme] * max(1e-9, was.float().abs().max().item()):
            return f"{name}: off by {off:.3g}"
    return None


def main(model, schemes):
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    share, kind = os.environ["SHARE"], model.split("-")[0]
    original = load(kind, f"{share}/models/{model}")
    for scheme in schemes:
        try:
            wrong = difference(original, load(kind, f"{share}/views/{model}-{scheme}"), scheme)
        except Exception as error:  # whatever the loader raises is what is reported
            wrong = f"{type(error).__name__}: {str(error)[:120]}".replace("\n", " ")
        print(model, scheme, "loaded" if wrong is None else f"failed: {wrong}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
