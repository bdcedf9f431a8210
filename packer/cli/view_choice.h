#pragma once

#include <string>

#include "base/result.h"
#include "packer/source/checkpoint.h"

namespace entrofs::packer::cli {

// Which files an archive of quantized weights shows.
struct ViewChoice {
  bool is_packed = false;  // codes for a runtime that computes on them, with the values beside; else the values alone
  std::string why;         // for people, one line
};

// `asked` is "auto", "packed" or "source"; `is_form_asked` whether a form of packed files was asked for by name. With
// "auto" files are packed only where they are known to load: for the architecture that every config.json names, or when
// a form was asked for. kInvalidArgument for what contradicts itself, kUnsupported for packed files of an architecture
// that loads them wrong.
Result<ViewChoice> ChooseView(const source::Checkpoint& checkpoint, const std::string& asked, bool is_form_asked);

}  // namespace entrofs::packer::cli
