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

std::vector<bool> Selected(const std::vector<tree::OutputTensor>& tensors, const std::vector<std::string>& include,
                           const std::vector<std::string>& exclude, Reach reach = Reach::kLinearLayers) {
  std::vector<bool> selected;
  for (const Decision& decision : SelectTensors(reach, tensors, include, exclude)) {
    EXPECT_FALSE(decision.reason.empty());
    selected.push_back(decision.is_selected);
  }
  return selected;
}

TEST(Eligibility, ShapesBecomeMatrices) {
  auto sides = [](std::vector<uint64_t> shape) {
    const auto matrix = MatrixShapeOf(shape);
    return matrix ? std::pair(matrix->rows, matrix->columns) : std::pair<uint64_t, uint64_t>(0, 0);
  };
  EXPECT_EQ(sides({6, 4}), std::pair(6ul, 4ul));
  EXPECT_EQ(sides({8, 64, 32}), std::pair(512ul, 32ul));  // experts
  EXPECT_EQ(sides({64, 32, 3}), std::pair(64ul, 96ul));   // a convolution over time
  EXPECT_EQ(sides({64, 3, 14, 14}), std::pair(64ul, 588ul));
  EXPECT_EQ(sides({64, 3, 2, 14, 14}), std::pair(64ul, 1176ul));
  EXPECT_FALSE(MatrixShapeOf({64}));
  EXPECT_FALSE(MatrixShapeOf({}));
  EXPECT_FALSE(MatrixShapeOf({64, 0}));
}

TEST(Eligibility, WeightsOfAnyFormAreQuantizedWhereTheirValuesAreShown) {
  const std::vector<tree::OutputTensor> weights = {
      Tensor("model.layers.0.mlp.experts.gate_up_proj", {4, 64, 96}), Tensor("h.0.attn.c_attn.weight", {64, 192}),
      Tensor("model.layers.0.self_attn.q_proj.weight", {64, 64}),     Tensor("encoder.conv1.weight", {64, 80, 3}),
      Tensor("down_blocks.0.resnets.0.conv1.weight", {64, 32, 3, 3}), Tensor("attn.in_proj_weight", {192, 64})};
  EXPECT_EQ(Selected(weights, {}, {}, Reach::kAllWeights), std::vector<bool>(weights.size(), true));
  const std::vector<tree::OutputTensor> others = {Tensor("model.embed_tokens.weight", {320, 64}),
                                                  Tensor("lm_head.weight", {320, 64}),
                                                  Tensor("model.layers.0.mlp.gate.weight", {64, 64}),
                                                  Tensor("model.layers.0.mlp.router.weight", {64, 64}),
                                                  Tensor("encoder.position_embeddings", {128, 64}),
                                                  Tensor("pos_emb", {128, 64}),
                                                  Tensor("mlp.experts.gate_up_proj_bias", {64, 128}),
                                                  Tensor("backbone.layers.0.mixer.A_log", {256, 16}),
                                                  Tensor("backbone.layers.0.mixer.conv1d.weight", {2048, 1, 4}),
                                                  Tensor("tiny.weight", {16, 128}),
                                                  Tensor("layers.0.norm.weight", {64, 64}),
                                                  Tensor("q_proj.lora_A.weight", {64, 64}),
                                                  Tensor("q_proj.weight", {64, 64}, source::Dtype::kI8),
                                                  Tensor("relative_position_bias_table", {961, 32})};
  EXPECT_EQ(Selected(others, {}, {}, Reach::kAllWeights), std::vector<bool>(others.size(), false));
  EXPECT_EQ(Selected(others, {"lm_head*"}, {}, Reach::kAllWeights)[1], true);
  EXPECT_EQ(Selected(weights, {}, {"*experts*"}, Reach::kAllWeights)[0], false);
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
  EXPECT_EQ(Selected(tensors, {}, {}), (std::vector<bool>{false, true, true, false, false}));
  EXPECT_EQ(Selected(tensors, {"lm_head*", "head/*", "*.bias"}, {}),
            (std::vector<bool>{true, true, true, true, false}));
  EXPECT_EQ(Selected(tensors, {"*"}, {"layers.1.*"}), (std::vector<bool>{true, true, false, true, false}));
}

TEST(Eligibility, TransposedMatricesOfGpt2AreLeft) {
  std::vector<tree::OutputTensor> gpt2 = {Tensor("h.0.attn.c_attn.weight", {8, 24}),
                                          Tensor("h.0.mlp.c_fc.weight", {8, 32})};
  EXPECT_EQ(Selected(gpt2, {}, {}), (std::vector<bool>{false, false}));
  std::vector<tree::OutputTensor> neo = {Tensor("h.0.attn.q_proj.weight"), Tensor("h.0.mlp.c_fc.weight", {32, 8})};
  EXPECT_EQ(Selected(neo, {}, {}), (std::vector<bool>{true, true}));
}

TEST(Eligibility, PatternsCrossDotsAndSlashes) {
  EXPECT_TRUE(MatchesPattern("model.layers.10.q_proj.weight", "model.layers.1?.*"));
  EXPECT_TRUE(MatchesPattern("a/b/c", "a*c"));
  EXPECT_FALSE(MatchesPattern("a/b/c", "b*"));
}

}  // namespace
}  // namespace entrofs::packer::quantize::selection
