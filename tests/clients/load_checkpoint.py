#!/usr/bin/env python3
"""Loads a checkpoint as its users do, from a mount and from plain files, and compares.

    load_checkpoint.py NAME --mount DIR --plain DIR --original DIR

DIR are checkpoint directories: as entrofs shows it, as `entro-pack extract` wrote it, and what was packed. Needs
transformers, compressed-tensors, safetensors and torch. Prints one line per fact; exit code 1 when one does not hold.
"""

import argparse
import pathlib
import sys

import torch
import transformers
from safetensors import safe_open

failures = 0


def check(name, fact, holds, detail=""):
    global failures
    failures += not holds
    print(f"{'ok    ' if holds else 'FAILED'} {name}: {fact}{': ' + detail if detail else ''}", flush=True)


def read_tensors(directory):
    """Every tensor of a directory's safetensors files, read through safetensors' own mmap."""
    tensors = {}
    for path in sorted(pathlib.Path(directory).glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            tensors.update({key: file.get_tensor(key).clone() for key in file.keys()})
    return tensors


def unpack(packed, bits, count):
    """The numbers of `bits` bits in int32 words along the last dimension, lowest bits first, the first `count` of each
    row."""
    shifts = torch.arange(0, 32, bits)
    return ((packed.unsqueeze(-1) >> shifts) & ((1 << bits) - 1)).flatten(-2)[..., :count]


def dense_weight(tensors, module):
    """The weight that a quantized module stands for: (code - zero point) * scale, in the scale's dtype.

    Written from the description of the format alone, sharing no code with the packer or with compressed-tensors.
    """
    scale = tensors[module + ".weight_scale"]
    if module + ".weight_packed" in tensors:
        rows, columns = tensors[module + ".weight_shape"].tolist()
        packed = tensors[module + ".weight_packed"]
        bits = 4 if packed.shape[1] == (columns + 7) // 8 else 8
        middle = 1 << (bits - 1)
        codes = unpack(packed, bits, columns) - middle
        scale_per_column = columns // scale.shape[1]
        zero = torch.zeros((rows, scale.shape[1]), dtype=torch.int32)
        if module + ".weight_zero_point" in tensors:
            zero = unpack(tensors[module + ".weight_zero_point"].T, bits, rows).T - middle
        scale = scale.repeat_interleave(scale_per_column, dim=1)
        zero = zero.repeat_interleave(scale_per_column, dim=1)
    else:
        codes = tensors[module + ".weight"].to(torch.int32)
        zero = tensors[module + ".weight_zero_point"].to(torch.int32)
    return (codes - zero).to(scale.dtype) * scale


def dense_state(directory):
    """What the checkpoint stands for, as an ordinary state dict."""
    tensors = read_tensors(directory)
    state = {}
    for key, tensor in tensors.items():
        module, _, last = key.rpartition(".")
        if last == "weight_scale":
            state[module + ".weight"] = dense_weight(tensors, module)
        elif module + ".weight_scale" not in tensors or last == "bias":
            state[key] = tensor
    return state


def logits_of(model):
    vocabulary = model.config.vocab_size
    ids = torch.randint(vocabulary, (2, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.eval()(ids).logits.float()


def load(directory):
    return transformers.AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, dtype="auto")


def relative_error(actual, wanted):
    return ((actual - wanted).norm() / wanted.norm()).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="for the messages")
    parser.add_argument("--mount", required=True)
    parser.add_argument("--plain", required=True)
    parser.add_argument("--original", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    mounted, plain = read_tensors(args.mount), read_tensors(args.plain)
    check(args.name, f"safetensors maps the mounted files, {len(mounted)} tensors equal the plain ones",
          mounted.keys() == plain.keys() and
          all(torch.equal(mounted[key].view(torch.uint8), plain[key].view(torch.uint8)) for key in plain))

    from_mount, from_plain = logits_of(load(args.mount)), logits_of(load(args.plain))
    check(args.name, "transformers: logits from the mount equal those from plain files",
          torch.equal(from_mount, from_plain))

    # An ordinary model of the original's configuration, given the dense weights.
    config = transformers.AutoConfig.from_pretrained(args.original, local_files_only=True)
    state = dense_state(args.plain)
    dense_model = transformers.AutoModelForCausalLM.from_config(config, dtype=next(iter(state.values())).dtype)
    missing = dense_model.load_state_dict(state, strict=False)
    dense_model.tie_weights()
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    check(args.name, "the dense model has every weight",
          not missing.unexpected_keys and set(missing.missing_keys) <= tied, str(missing))
    error = relative_error(from_mount, logits_of(dense_model))
    check(args.name, "logits are those of the dense weights by independent arithmetic", error < 1e-2,
          f"off by {error:.2g}")

    original = read_tensors(args.original)
    quantized = [key for key in state if not torch.equal(state[key], original[key])]
    noise = sum((state[key].double() - original[key].double()).square().sum() for key in quantized)
    signal = sum(original[key].double().square().sum() for key in quantized)
    sqnr = 10 * torch.log10(signal / noise).item() if quantized else float("inf")
    check(args.name, f"{len(quantized)} of {len(state)} tensors differ from the original", sqnr > 5, f"SQNR {sqnr:.2f} dB")
    error = relative_error(from_mount, logits_of(load(args.original)))
    print(f"       {args.name}: logits differ from the original model's by {error:.2g} of their norm", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
