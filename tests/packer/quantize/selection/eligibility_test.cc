#include "packer/quantize/selection/eligibility.h"

#include <gtest/gtest.h>

namespace entrofs::packer::quantize::selection {
namespace {

tree::OutputTensor Tensor(const std::string& name, std::vector<uint64_t> shape = {8, 8},
                          source::Dtype dtype = source::Dtype::kBf16) {
  tree::OutputTensor tensor;
  tensor.name = name;
  tensor.shape = std::move(shape);
  tensor.dtype = dtype;
  return tensor;
}

TEST(Eligibility, LinearLayersOfCommonModelsAreFound) {
  for (const char* name : {"model.layers.0.self_attn.q_proj.weight", "model.layers.3.mlp.gate_proj.weight",
                           "transformer.h.0.attn.attention.out_proj.weight", "transformer.h.0.mlp.c_fc.weight",
                           "encoder.layer.1.attention.output.dense.weight", "model.layers.0.mlp.experts.5.w1.weight",
                           "gpt_neox.layers.0.attention.query_key_value.weight", "lstm.weight"}) {
    EXPECT_EQ(RoleOf(Tensor(name)), Role::kLinear) << name;
  }
}

TEST(Eligibility, EmbeddingsHeadsRoutersAndNormsAreNot) {
  for (const char* name :
       {"model.embed_tokens.weight", "transformer.wte.weight", "wpe.weight", "embeddings.word_embeddings.weight",
        "gpt_neox.embed_in.weight", "shared.weight", "tok_emb.weight", "encoder.layers.0.attn.rel_pos_emb.weight",
        "transformer.w.weight", "tokens_embed.weight"}) {
    EXPECT_EQ(RoleOf(Tensor(name)), Role::kEmbedding) << name;
  }
  for (const char* name :
       {"lm_head.weight", "embed_out.weight", "score.weight", "output.weight", "model.layers.0.mlp.gate.weight",
        "block_sparse_moe.router.weight", "block_sparse_moe.router.layer.weight", "decoder.lm_heads.3.weight",
        "transformer.output_layer.weight"}) {
    EXPECT_EQ(RoleOf(Tensor(name)), Role::kHead) << name;
  }
  for (const char* name : {"base_model.model.layers.0.q_proj.lora_A.weight", "layers.0.q_proj.lora_B.default.weight"}) {
    EXPECT_EQ(RoleOf(Tensor(name)), Role::kOther) << name;
  }
  EXPECT_EQ(RoleOf(Tensor("model.norm.weight", {8})), Role::kOther);
  EXPECT_EQ(RoleOf(Tensor("model.layers.0.q_norm.weight")), Role::kOther);
  EXPECT_EQ(RoleOf(Tensor("model.layers.0.q_proj.bias", {8})), Role::kOther);
}

TEST(Eligibility, OnlyFloatMatricesCount) {
  EXPECT_EQ(RoleOf(Tensor("a.q_proj.weight", {8, 8}, source::Dtype::kI8)), Role::kOther);
  EXPECT_EQ(RoleOf(Tensor("a.q_proj.weight", {8, 8}, source::Dtype::kF8E4M3)), Role::kOther);
  EXPECT_EQ(RoleOf(Tensor("a.conv.weight", {8, 8, 3})), Role::kOther);
  EXPECT_EQ(RoleOf(Tensor("a.q_proj.weight", {8, 0})), Role::kOther);
  EXPECT_EQ(RoleOf(Tensor("a.q_proj.weight", {8, 8}, source::Dtype::kF16)), Role::kLinear);
  EXPECT_EQ(RoleOf(Tensor("a.q_proj.weight", {8, 8}, source::Dtype::kF32)), Role::kLinear);
}

TEST(Eligibility, PatternsAddAndRemove) {
  std::vector<tree::OutputTensor> tensors = {Tensor("lm_head.weight"), Tensor("layers.0.q_proj.weight"),
                                             Tensor("layers.1.q_proj.weight"), Tensor("head/kernel"),
                                             Tensor("layers.1.q_proj.bias", {8})};
  using Selected = std::vector<bool>;
  EXPECT_EQ(SelectTensors(tensors, {}, {}), (Selected{false, true, true, false, false}));
  EXPECT_EQ(SelectTensors(tensors, {"lm_head*", "head/*", "*.bias"}, {}), (Selected{true, true, true, true, false}));
  EXPECT_EQ(SelectTensors(tensors, {"*"}, {"layers.1.*"}), (Selected{true, true, false, true, false}));
}

TEST(Eligibility, TransposedMatricesOfGpt2AreLeft) {
  std::vector<tree::OutputTensor> gpt2 = {Tensor("h.0.attn.c_attn.weight", {8, 24}),
                                          Tensor("h.0.mlp.c_fc.weight", {8, 32})};
  EXPECT_EQ(SelectTensors(gpt2, {}, {}), (std::vector<bool>{false, false}));
  std::vector<tree::OutputTensor> neo = {Tensor("h.0.attn.q_proj.weight"), Tensor("h.0.mlp.c_fc.weight", {32, 8})};
  EXPECT_EQ(SelectTensors(neo, {}, {}), (std::vector<bool>{true, true}));
}

TEST(Eligibility, PatternsCrossDotsAndSlashes) {
  EXPECT_TRUE(MatchesPattern("model.layers.10.q_proj.weight", "model.layers.1?.*"));
  EXPECT_TRUE(MatchesPattern("a/b/c", "a*c"));
  EXPECT_FALSE(MatchesPattern("a/b/c", "b*"));
}

}  // namespace
}  // namespace entrofs::packer::quantize::selection
