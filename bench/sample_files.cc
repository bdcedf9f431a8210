// The small files beside a sample's weights.

#include <nlohmann/json.hpp>

#include "bench/sample_checkpoint.h"

namespace entrofs::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kBeginToken = 256;
constexpr int kEndToken = 257;
constexpr int kMaxPositions = 2048;

std::string ToUtf8(unsigned code_point) {  // below U+0800
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

// How byte-level tokenizers write a byte: itself where it is a printable Latin-1 character, else one from U+0100 on.
std::vector<std::string> ByteSymbols() {
  std::vector<std::string> symbols;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    symbols.push_back(ToUtf8(printable ? byte : next++));
  }
  return symbols;
}

Json SpecialToken(int id, const char* content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

std::string Text(const Json& json) { return json.dump(2) + "\n"; }

}  // namespace

std::string SampleConfig(const SampleShape& shape, packer::source::Dtype dtype) {
  const char* torch_name = dtype == packer::source::Dtype::kF32   ? "float32"
                           : dtype == packer::source::Dtype::kF16 ? "float16"
                                                                  : "bfloat16";
  return Text({{"architectures", {"LlamaForCausalLM"}},
               {"model_type", "llama"},
               {"hidden_act", "silu"},
               {"hidden_size", shape.hidden},
               {"intermediate_size", shape.intermediate},
               {"num_hidden_layers", shape.layers},
               {"num_attention_heads", shape.heads},
               {"num_key_value_heads", shape.key_value_heads},
               {"vocab_size", shape.vocabulary},
               {"max_position_embeddings", kMaxPositions},
               {"rms_norm_eps", 1e-5},
               {"rope_theta", 10000.0},
               {"tie_word_embeddings", false},
               {"bos_token_id", kBeginToken},
               {"eos_token_id", kEndToken},
               {"torch_dtype", torch_name}});
}

std::string SampleGenerationConfig() { return Text({{"bos_token_id", kBeginToken}, {"eos_token_id", kEndToken}}); }

std::string SampleTokenizer() {
  Json vocabulary = Json::object();
  int id = 0;
  for (const std::string& symbol : ByteSymbols()) vocabulary[symbol] = id++;
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  Json model = {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"vocab", std::move(vocabulary)},
                {"merges", Json::array()}};
  return Text({{"version", "1.0"},
               {"truncation", nullptr},
               {"padding", nullptr},
               {"added_tokens", {SpecialToken(kBeginToken, "<s>"), SpecialToken(kEndToken, "</s>")}},
               {"normalizer", nullptr},
               {"pre_tokenizer", byte_level},
               {"post_processor", nullptr},
               {"decoder", byte_level},
               {"model", std::move(model)}});
}

std::string SampleTokenizerConfig() {
  return Text({{"tokenizer_class", "PreTrainedTokenizerFast"},
               {"bos_token", "<s>"},
               {"eos_token", "</s>"},
               {"model_max_length", kMaxPositions}});
}

}  // namespace entrofs::bench
