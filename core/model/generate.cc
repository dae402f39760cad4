#include "core/model/generate.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/arena.h"
#include "core/base/philox.h"
#include "core/base/status_macros.h"
#include "core/model/activation_plan.h"
#include "core/model/network.h"
#include "core/model/rope.h"
#include "kernels/matmul.h"
#include "kernels/sample_token.h"

namespace ingot {
namespace {

constexpr int64_t kLargestChunk = 256;  // prompt tokens in one forward: enough rows for products at full speed

// A forward of N tokens, N a power of two: a prompt of any length is a few chunks, and their networks are made once.
struct Chunk {
  Chunk(const ModelDims& dims, int64_t N, Device device, DType dtype)
      : shape{.B = 1, .T = N, .device = device, .dtype = dtype},
        plan(ListActivations(dims, shape), dims.L),
        fp8_weights(dims, shape) {}

  RunShape shape;
  ActivationPlan plan;
  Fp8Weights fp8_weights;  // none
  std::unique_ptr<Network> network;
};

class PlannedDecoder : public CachedDecoder {
 public:
  PlannedDecoder(const ModelDims& dims, std::shared_ptr<const Backend> backend, Tensor parameters, int64_t capacity)
      : dims_(dims),
        backend_(std::move(backend)),
        table_(MakeParameterTable(dims_)),
        parameters_(parameters),
        capacity_(capacity),
        host_logits_(dims.V) {
    for (int64_t N = 1; N <= std::min(capacity, kLargestChunk); N *= 2) {
      chunks_.emplace(N, Chunk(dims_, N, backend_->device(), parameters.dtype));
    }
    for (auto& [N, chunk] : chunks_) activation_bytes_ = std::max(activation_bytes_, chunk.plan.bytes());
    for (auto& [N, chunk] : chunks_) scratch_bytes_ = std::max(scratch_bytes_, ScratchBytes(chunk));
  }

  absl::Status TakeMemory() {
    const int64_t total = PlanPieces(nullptr);
    INGOT_ASSIGN_OR_RETURN(Arena arena, backend_->CreateArena("generation", total));
    arena_ = std::make_unique<Arena>(std::move(arena));
    PlanPieces(arena_.get());
    if (!angles_.absent()) {
      INGOT_ASSIGN_OR_RETURN(const HostCopy angles, HostCopy::Create(backend_, angles_));
      FillRopeAngles(dims_.rope_theta, angles.tensor());
      INGOT_RETURN_IF_ERROR(angles.Upload());
    }
    for (auto& [N, chunk] : chunks_) chunk.network = NetworkOf(chunk, parameters_, activations_.ptr);
    return absl::OkStatus();
  }

  absl::StatusOr<std::span<const float>> Feed(std::span<const int32_t> ids) override {
    INGOT_RETURN_IF_ERROR(Append(ids));
    INGOT_RETURN_IF_ERROR(backend_->CopyOut(host_logits_.data(), logits_));
    return std::span<const float>(host_logits_);
  }

  absl::StatusOr<int32_t> FeedAndDraw(std::span<const int32_t> ids, const SamplingOptions& options,
                                      int64_t draw) override {
    constexpr uint64_t kStream = 0x67656e6572617465;  // "generate": apart from the streams of other draws of one seed
    INGOT_RETURN_IF_ERROR(Append(ids));
    Context ctx = backend_->MakeContext();
    ctx.Run(SampleToken{.logits = Reshaped(logits_, {dims_.V}),
                        .token = drawn_,
                        .uniform = Philox{options.seed}.Uniform(kStream, static_cast<uint64_t>(draw)),
                        .temperature = options.temperature,
                        .top_k = options.top_k,
                        .top_p = options.top_p,
                        .vocabulary = options.vocabulary});
    int32_t id = 0;
    INGOT_RETURN_IF_ERROR(backend_->CopyOut(&id, drawn_));
    return id;
  }

  int64_t length() const override { return cache_.length; }

 private:
  // Shapes of all memory, in the arena if there is one; the bytes they need.
  int64_t PlanPieces(Arena* arena) {
    int64_t bytes = 0;
    const auto take = [&](const char* name, DType dtype, std::initializer_list<int64_t> shape) {
      bytes += Arena::Aligned(Bytes(Tensor(nullptr, dtype, shape)));
      return arena == nullptr ? Tensor(nullptr, dtype, shape) : arena->Take(name, dtype, shape);
    };
    cache_.k = take("key cache", parameters_.dtype, {dims_.L, dims_.K, capacity_, dims_.D});
    cache_.v = take("value cache", parameters_.dtype, {dims_.L, dims_.K, capacity_, dims_.D});
    if (dims_.architecture == Architecture::kLlama) {
      angles_ = take("angles", DType::kF32, {capacity_, dims_.D / 2, 2});
    }
    logits_ = take("logits", DType::kF32, {1, dims_.V});
    drawn_ = take("drawn id", DType::kI32, {1});
    tokens_ = take("tokens", DType::kI32, {1, kLargestChunk});
    positions_ = take("positions", DType::kI32, {1, kLargestChunk});
    activations_ = take("activations", DType::kU8, {activation_bytes_});
    scratch_ = take("scratch", DType::kU8, {scratch_bytes_});
    return bytes;
  }

  std::unique_ptr<Network> NetworkOf(const Chunk& chunk, const Tensor& parameters, void* activations) {
    return Network::Create({.dims = dims_,
                            .shape = chunk.shape,
                            .table = table_,
                            .plan = chunk.plan,
                            .fp8_weights = chunk.fp8_weights,
                            .parameters = parameters,
                            .gradients = {},
                            .angles = angles_,
                            .activations = activations,
                            .cache = &cache_});
  }

  // The same code, run on null pointers and a cache as full as it can get.
  int64_t ScratchBytes(const Chunk& chunk) {
    int64_t most = 0;
    Context ctx =
        Context::Describe([&](const OpRecord& op) { most = std::max(most, op.scratch_bytes); }, backend_->device());
    PlanPieces(nullptr);
    cache_.length = capacity_ - chunk.shape.T;
    const auto network = NetworkOf(chunk, Tensor(nullptr, parameters_.dtype, {table_.flat_size}), nullptr);
    const Tensor ids(nullptr, DType::kI32, {1, chunk.shape.T});
    Run(ctx, *network, {.tokens = ids, .positions = ids}, true);
    cache_.length = 0;
    return most;
  }

  absl::Status Append(std::span<const int32_t> ids) {
    INGOT_RETURN_IF_ERROR(Check(ids));
    while (!ids.empty()) {
      auto chunk = chunks_.upper_bound(static_cast<int64_t>(ids.size()));
      --chunk;  // the largest that is not longer
      const bool last = ids.size() == static_cast<size_t>(chunk->first);
      INGOT_RETURN_IF_ERROR(FeedChunk(chunk->second, ids.first(chunk->first), last));
      ids = ids.subspan(chunk->first);
    }
    return absl::OkStatus();
  }

  absl::Status Check(std::span<const int32_t> ids) const {
    const int64_t N = static_cast<int64_t>(ids.size());
    if (N == 0) return absl::InvalidArgumentError("expected at least one token to feed, found none");
    if (cache_.length + N > capacity_) {
      return absl::OutOfRangeError(absl::StrCat("the context holds ", capacity_, " tokens, of which ", cache_.length,
                                                " are taken; found ", N, " more: shorten the text"));
    }
    for (const int32_t id : ids) {
      if (id < 0 || id >= dims_.V) {
        return absl::InvalidArgumentError(absl::StrCat("token id: expected 0 to ", dims_.V - 1, ", found ", id));
      }
    }
    return absl::OkStatus();
  }

  absl::Status FeedChunk(const Chunk& chunk, std::span<const int32_t> ids, bool wants_logits) {
    const int64_t N = chunk.shape.T;
    const Tensor tokens = Slice(tokens_, 0, {1, N}), positions = Slice(positions_, 0, {1, N});
    std::vector<int32_t> places(N);
    std::iota(places.begin(), places.end(), static_cast<int32_t>(cache_.length));
    INGOT_RETURN_IF_ERROR(backend_->CopyIn(tokens, ids.data()));
    INGOT_RETURN_IF_ERROR(backend_->CopyIn(positions, places.data()));
    Context ctx = backend_->MakeContext(scratch_);
    Run(ctx, *chunk.network, {.tokens = tokens, .positions = positions}, wants_logits);
    cache_.length += N;
    return absl::OkStatus();
  }

  void Run(Context& ctx, Network& network, const NetworkInput& input, bool wants_logits) {
    network.Forward(ctx, input);
    if (!wants_logits) return;
    const Tensor& rows = network.rows();
    const Tensor last = Slice(rows, Count(rows) - dims_.C, {1, dims_.C});
    ctx.Run(MatmulForward{.x = last, .w = network.head(), .y = logits_});
  }

  const ModelDims dims_;
  const std::shared_ptr<const Backend> backend_;
  const ParameterTable table_;
  Tensor parameters_;
  int64_t capacity_;
  std::map<int64_t, Chunk> chunks_;  // by N
  int64_t activation_bytes_ = 0, scratch_bytes_ = 0;
  std::unique_ptr<Arena> arena_;
  Tensor angles_, logits_, drawn_, tokens_, positions_, activations_, scratch_;
  std::vector<float> host_logits_;
  KvCache cache_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CachedDecoder>> CachedDecoder::Create(const ModelDims& dims,
                                                                     std::shared_ptr<const Backend> backend,
                                                                     Tensor parameters, int64_t capacity) {
  if (const auto problems = Problems(dims); !problems.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(problems, "; "));
  }
  if (capacity < 1 || capacity > dims.T) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokens of the cache: expected 1 to ", dims.T, " (the context), found ", capacity));
  }
  auto decoder = std::make_unique<PlannedDecoder>(dims, std::move(backend), parameters, capacity);
  INGOT_RETURN_IF_ERROR(decoder->TakeMemory());
  return decoder;
}

}  // namespace ingot
