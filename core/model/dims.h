#pragma once
// ModelDims: the shape of a model, free of any file format.
#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

enum class Architecture { kLlama, kGpt2 };

struct ModelDims {
  Architecture architecture = Architecture::kLlama;
  int64_t L = 0;          // layers
  int64_t C = 0;          // channels of the residual stream
  int64_t H = 0;          // query heads
  int64_t K = 0;          // key/value heads; gpt2: K = H
  int64_t D = 0;          // head width; gpt2: C / H
  int64_t F = 0;          // feed-forward width
  int64_t V = 0;          // vocabulary, padded
  int64_t T = 0;          // longest context: gpt2's position table, max_position_embeddings of the others
  bool qkv_bias = false;  // llama: biases on q, k, v (Qwen2)
  bool qk_norm = false;   // llama: RMSNorm on each query and key head (Qwen3)
  bool tied_embeddings = true;
  float norm_eps = 1e-6f;
  float rope_theta = 10000.0f;
};

// Everything wrong with `dims`, each as "model.FIELD: expected …, found …"; empty when a model can be made of it and
// exported as a Hugging Face class (LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, GPT2LMHeadModel).
std::vector<std::string> Problems(const ModelDims& dims);

// FLOPs of training on one token of a sequence of T: 6 * N_mm + 6 * L * H * D * (T + 1), with N_mm the weights of all
// matrix products, the head counted once (tied or not), look-ups not at all; attention causal, as executed.
double TrainingFlopsPerToken(const ModelDims& dims, int64_t T);

}  // namespace ingot
