#include "packer/tree/output_tree.h"

namespace entrofs::packer::tree {

const std::string& NameOf(const FilePart& part) {
  return std::visit([](const auto& p) -> const std::string& { return p.name; }, part);
}

const RandomAccessFile& BytesOf(const FilePart& part) {
  return std::visit([](const auto& p) -> const RandomAccessFile& { return *p.bytes; }, part);
}

uint64_t OutputFile::size_bytes() const {
  uint64_t total = 0;
  for (const FilePart& part : parts) total += BytesOf(part).size();
  return total;
}

uint64_t OutputTree::size_bytes() const {
  uint64_t total = 0;
  for (const OutputFile& file : files) total += file.size_bytes();
  return total;
}

uint64_t OutputTree::shown_bytes() const {
  uint64_t total = 0;
  for (const ViewTree& view : views) {
    if (view.name != default_view) continue;
    for (const ViewFile& file : view.files) {
      for (const ViewPart& part : file.parts) total += part.size_bytes();
    }
    return total;
  }
  for (const OutputFile& file : files) total += file.is_shown ? file.size_bytes() : 0;
  return total;
}

OutputTensor UnchangedTensor(const source::CheckpointFile& file, const source::TensorInfo& info) {
  OutputTensor tensor;
  tensor.name = info.name;
  tensor.dtype = info.dtype;
  tensor.shape = info.shape;
  tensor.bytes = SliceOf(file.file, info.offset_bytes, info.size_bytes);
  tensor.weight_count = info.element_count();
  tensor.belongs_to = info.name;
  return tensor;
}

namespace {

OutputTensor UnchangedGgufTensor(const source::CheckpointFile& file, const source::GgufTensor& info) {
  OutputTensor tensor;
  tensor.name = tensor.belongs_to = info.name;
  tensor.shape = info.shape;
  tensor.bytes = SliceOf(file.file, info.offset_bytes, info.size_bytes);
  tensor.weight_count = info.weight_count();
  if (info.type != nullptr && info.type->dtype) {
    tensor.dtype = *info.type->dtype;
  } else if (info.type != nullptr) {
    tensor.blocks = info.type;
  } else {
    tensor.shape = {info.size_bytes};
    tensor.weight_count = info.size_bytes;
  }
  return tensor;
}

// Header, tensors, and the padding between them.
void AppendGguf(const source::CheckpointFile& file, std::vector<FilePart>& parts) {
  uint64_t position = 0;
  auto append_literal = [&](const char* name, uint64_t end) {
    if (end > position) parts.push_back(Literal{name, SliceOf(file.file, position, end - position)});
    position = end;
  };
  append_literal("header", file.gguf->data_start_bytes);
  for (const source::GgufTensor& info : file.gguf->tensors) {
    append_literal("padding", info.offset_bytes);
    parts.push_back(UnchangedGgufTensor(file, info));
    position += info.size_bytes;
  }
  append_literal("end", file.file->size());
}

}  // namespace

OutputFile UnchangedFile(const source::CheckpointFile& file) {
  OutputFile output{file.path, file.file->identity().mode & 0555u, file.file->identity().mtime_ns, {}, true, file.file};
  if (file.gguf) {
    AppendGguf(file, output.parts);
    return output;
  }
  if (!file.header) {
    output.parts.push_back(Literal{"content", file.file});
    return output;
  }
  output.parts.push_back(Literal{"header", SliceOf(file.file, 0, file.header->data_start_bytes)});
  for (const source::TensorInfo& info : file.header->tensors) output.parts.push_back(UnchangedTensor(file, info));
  return output;
}

OutputTree LosslessTree(const source::Checkpoint& checkpoint) {
  OutputTree tree;
  tree.directories = checkpoint.directories;
  tree.warnings = checkpoint.warnings;
  for (const source::CheckpointFile& file : checkpoint.files) tree.files.push_back(UnchangedFile(file));
  return tree;
}

}  // namespace entrofs::packer::tree
