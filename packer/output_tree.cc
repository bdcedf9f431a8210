#include "packer/output_tree.h"

namespace entrofs::packer {

const std::string& NameOf(const Piece& piece) {
  return std::visit([](const auto& p) -> const std::string& { return p.name; }, piece);
}

const RandomAccessFile& BytesOf(const Piece& piece) {
  return std::visit([](const auto& p) -> const RandomAccessFile& { return *p.bytes; }, piece);
}

uint64_t OutputFile::size_bytes() const {
  uint64_t total = 0;
  for (const Piece& piece : pieces) total += BytesOf(piece).size();
  return total;
}

uint64_t OutputTree::size_bytes() const {
  uint64_t total = 0;
  for (const OutputFile& file : files) total += file.size_bytes();
  return total;
}

OutputTensor UnchangedTensor(const CheckpointFile& file, const TensorInfo& info) {
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

OutputTensor UnchangedGgufTensor(const CheckpointFile& file, const GgufTensor& info) {
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
void AppendGguf(const CheckpointFile& file, std::vector<Piece>& pieces) {
  uint64_t position = 0;
  auto append_literal = [&](const char* name, uint64_t end) {
    if (end > position) pieces.push_back(Literal{name, SliceOf(file.file, position, end - position)});
    position = end;
  };
  append_literal("header", file.gguf->data_start_bytes);
  for (const GgufTensor& info : file.gguf->tensors) {
    append_literal("padding", info.offset_bytes);
    pieces.push_back(UnchangedGgufTensor(file, info));
    position += info.size_bytes;
  }
  append_literal("end", file.file->size());
}

}  // namespace

OutputFile UnchangedFile(const CheckpointFile& file) {
  OutputFile output{file.path, file.file->identity().mode & 0555u, file.file->identity().mtime_ns, {}, file.file};
  if (file.gguf) {
    AppendGguf(file, output.pieces);
    return output;
  }
  if (!file.header) {
    output.pieces.push_back(Literal{"content", file.file});
    return output;
  }
  output.pieces.push_back(Literal{"header", SliceOf(file.file, 0, file.header->data_start_bytes)});
  for (const TensorInfo& info : file.header->tensors) output.pieces.push_back(UnchangedTensor(file, info));
  return output;
}

OutputTree LosslessTree(const Checkpoint& checkpoint) {
  OutputTree tree;
  tree.directories = checkpoint.directories;
  tree.warnings = checkpoint.warnings;
  for (const CheckpointFile& file : checkpoint.files) tree.files.push_back(UnchangedFile(file));
  return tree;
}

}  // namespace entrofs::packer
