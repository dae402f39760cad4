// Checkpoints that several ranks write and read, as threads over a real control plane.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/training/checkpoint.h"
#include "core/training/checkpoint_files.h"
#include "core/training/checkpoint_writer.h"
#include "core/training/hf_model.h"
#include "core/training/host_state.h"
#include "tests/core/training/checkpoint_fixture.h"
#include "tests/core/training/rank_threads.h"

namespace ingot {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kShardBytes = 6000;
constexpr std::chrono::minutes kLimit(1);

// Path inside `directory` → contents.
std::map<std::string, std::string> Everything(const std::string& directory) {
  std::map<std::string, std::string> all;
  const std::vector<std::string> names = *ListDirectory(directory);
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory, name);
    if (!DirectoryExists(path)) {
      all[name] = *ReadFile(path);
      continue;
    }
    for (auto& [inner, text] : Everything(path)) all[JoinPath(name, inner)] = std::move(text);
  }
  return all;
}

CheckpointContents Contents(SmallModel& model, int64_t step, int64_t shard_bytes = kShardBytes) {
  CheckpointContents contents = model.contents(step);
  contents.shard_bytes = shard_bytes;
  return contents;
}

// The parameters of the files that `rank` writes become NaN.
void Poison(SmallModel& model, int64_t rank, int64_t ranks) {
  for (const CheckpointFile& file : FilesOf(Contents(model, 1), rank, ranks)) {
    for (auto& values : model.values) {
      values[model.table.specs[file.first].offset] = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

class CheckpointTogether : public RankThreads {
 protected:
  CheckpointStore Store(Ranks& ranks, const std::string& run) {
    return CheckpointStore(directory_ / run, 9, 0, 0, CheckpointRanks(ranks.control(), kLimit));
  }
  std::string Step(const std::string& run, int64_t step) {
    return directory_ / absl::StrCat(run, "/checkpoints/step-0000000", step);
  }
};

TEST_F(CheckpointTogether, HasTheBytesOfOneRank) {
  SmallModel model(LlamaDims());
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    const std::string alone = absl::StrCat("alone-", Name(dtype));
    CheckpointContents contents = Contents(model, 3);
    contents.weights_dtype = dtype;
    ASSERT_TRUE(CheckpointStore(directory_ / alone, 9, 0).Save(contents).ok());
    const auto expected = Everything(Step(alone, 3));
    ASSERT_GT(expected.size(), 12u) << "several files";
    ASSERT_EQ(expected.count("model.safetensors.index.json"), 1u);
    for (const int64_t ranks : {2, 3, 5}) {
      const std::string run = absl::StrCat("ranks-", ranks, Name(dtype));
      ForConnectedRanks(ranks, [&](Ranks& place) {
        const absl::Status saved = Store(place, run).Save(contents);
        EXPECT_TRUE(saved.ok()) << saved;
      });
      EXPECT_TRUE(Everything(Step(run, 3)) == expected) << ranks << " ranks";
    }
  }
}

TEST_F(CheckpointTogether, WhatFailsAtOneRankFailsAtAllAndIsNamed) {
  SmallModel good(LlamaDims()), bad(LlamaDims());
  Poison(bad, 2, 3);
  ForConnectedRanks(3, [&](Ranks& place) {
    CheckpointStore store = Store(place, "run");
    EXPECT_TRUE(store.Save(Contents(good, 1)).ok());
    const absl::Status failed = store.Save(Contents(place.rank() == 2 ? bad : good, 2));
    EXPECT_TRUE(absl::IsDataLoss(failed)) << failed;
    EXPECT_THAT(std::string(failed.message()),
                AllOf(HasSubstr("rank 2: tensor"), HasSubstr("expected finite values, found nan")));
    EXPECT_TRUE(store.Save(Contents(good, 2)).ok()) << "the next one is not disturbed";
  });
  EXPECT_THAT(*ListDirectory(directory_ / "run/checkpoints"), ElementsAre("step-00000001", "step-00000002"));
  EXPECT_TRUE(VerifyCheckpoint(Step("run", 2)).ok());
}

TEST_F(CheckpointTogether, AFailedSaveLeavesWhatWasThere) {
  SmallModel good(LlamaDims()), bad(LlamaDims());
  Poison(bad, 1, 2);
  ForConnectedRanks(2, [&](Ranks& place) {
    CheckpointStore store = Store(place, "run");
    EXPECT_TRUE(store.Save(Contents(good, 1)).ok());
    EXPECT_FALSE(store.Save(Contents(place.rank() == 1 ? bad : good, 2)).ok());
  });
  EXPECT_THAT(*ListDirectory(directory_ / "run/checkpoints"), ElementsAre("step-00000001"));
}

TEST_F(CheckpointTogether, ADirectoryThatCannotBeMadeIsToldToAll) {
  ASSERT_TRUE(CreateDirectories(directory_ / "run").ok());
  ASSERT_TRUE(WriteFileAtomically(directory_ / "run/checkpoints", "in the way").ok());
  SmallModel model(LlamaDims());
  ForConnectedRanks(2, [&](Ranks& place) {
    std::vector<std::string> said;
    CheckpointWriter writer(
        Store(place, "run"),
        {.background = true, .max_failures = 1, .say = [&](const std::string& line) { said.push_back(line); }});
    EXPECT_TRUE(writer.Save(Contents(model, 1), false).ok());
    EXPECT_TRUE(writer.Wait().ok()) << "one failure is allowed";
    EXPECT_TRUE(writer.Save(Contents(model, 2), false).ok());
    EXPECT_THAT(std::string(writer.Wait().message()), HasSubstr("checkpoint.max_failures"));
    EXPECT_THAT(said, ElementsAre(HasSubstr("step 1 was not saved")));
  });
}

TEST_F(CheckpointTogether, AllPassOverTheSameDamage) {
  SmallModel model(LlamaDims());
  CheckpointStore alone(directory_ / "run", 9, 0);
  for (int64_t step = 1; step <= 4; ++step) ASSERT_TRUE(alone.Save(Contents(model, step)).ok());
  const std::string last = Step("run", 4);
  const Manifest manifest = *ReadCheckpointManifest(last);
  for (const auto& file : manifest.files) {  // every file is read by somebody
    const std::string path = JoinPath(last, file.first), whole = *ReadFile(path);
    std::string changed = whole;
    changed[changed.size() / 2] ^= 16;
    ASSERT_TRUE(WriteFileAtomically(path, changed).ok());
    ForConnectedRanks(3, [&](Ranks& place) {
      std::vector<std::string> rejected;
      const auto newest = Store(place, "run").NewestValid(rejected);
      ASSERT_TRUE(newest.ok()) << newest.status();
      EXPECT_EQ(*newest, Step("run", 3)) << file.first;
      if (place.rank() > 0) {
        EXPECT_THAT(rejected, IsEmpty());
      }
      if (place.rank() == 0) {
        EXPECT_THAT(rejected, ElementsAre(HasSubstr(path + ": damaged: expected CRC32C")));
      }
    });
    ASSERT_TRUE(WriteFileAtomically(path, whole).ok());
  }
}

TEST_F(CheckpointTogether, TheFirstDamageIsToldWhoeverReadsIt) {
  SmallModel model(LlamaDims());
  CheckpointStore alone(directory_ / "run", 9, 0);
  for (int64_t step = 1; step <= 3; ++step) ASSERT_TRUE(alone.Save(Contents(model, step)).ok());
  for (const char* name : {"README.md", "training_state/state.json"}) {
    const std::string path = JoinPath(Step("run", 3), name);
    std::string text = *ReadFile(path);
    text[text.size() / 2] ^= 1;
    ASSERT_TRUE(WriteFileAtomically(path, text).ok());
  }
  ASSERT_EQ(truncate(JoinPath(Step("run", 2), kManifestName).c_str(), 10), 0);
  std::vector<std::string> expected;
  EXPECT_EQ(*alone.NewestValid(expected), Step("run", 1));
  EXPECT_THAT(expected, ElementsAre(HasSubstr("README.md: damaged"), HasSubstr("MANIFEST.json: damaged")));
  ForConnectedRanks(4, [&](Ranks& place) {
    std::vector<std::string> rejected;
    EXPECT_EQ(*Store(place, "run").NewestValid(rejected), Step("run", 1));
    if (place.rank() == 0) {
      EXPECT_EQ(rejected, expected);
    }
  });
}

// Ranks that each have a part of moments and weights, and what they save and read.
class HostStates : public CheckpointTogether {
 protected:
  // A value for each element of each flat buffer, 0 between parameters.
  SmallModel expected_{{.L = 3, .C = 64, .H = 2, .K = 2, .D = 32, .F = 160, .V = 1500, .T = 8}};

  struct Rank {
    std::unique_ptr<Model> model;
    std::optional<Optimizer> optimizer;
    Interval kept, part;  // of the parameters, of the moments
  };
  Rank Make(const ParallelPlan& plan, int64_t rank) {
    Rank made;
    RunShape shape = {.B = 1, .T = 8, .training = true};
    const int64_t size = expected_.table.flat_size;
    shape.shard = plan.ShardOf(rank, size);
    made.model = *Model::Create(expected_.dims, shape);
    made.part = plan.UpdatedBy(rank, size);
    made.kept = shape.shard.parameters ? made.part : Interval{0, size};
    made.optimizer.emplace(*Optimizer::Create(*made.model, {}, made.part));
    return made;
  }
  // Each buffer of a rank with the part of `expected_` that it keeps, moved by `shift`.
  void Fill(Rank& rank, float shift) {
    const Tensor live[] = {rank.model->parameters(), rank.optimizer->tensors().m, rank.optimizer->tensors().v};
    for (size_t kind = 0; kind < 3; ++kind) {
      const Interval range = kind == 0 ? rank.kept : rank.part;
      for (int64_t n = range.begin; n < range.end; ++n) {
        live[kind].data<float>()[n - range.begin] = expected_.values[kind][n] + shift;
      }
    }
  }
  void ExpectKept(Rank& rank) {
    const Tensor live[] = {rank.model->parameters(), rank.optimizer->tensors().m, rank.optimizer->tensors().v};
    for (size_t kind = 0; kind < 3; ++kind) {
      const Interval range = kind == 0 ? rank.kept : rank.part;
      EXPECT_EQ(std::memcmp(live[kind].ptr, expected_.values[kind].data() + range.begin, range.size() * sizeof(float)),
                0)
          << "kind " << kind << " of elements from " << range.begin;
    }
  }
};

constexpr std::pair<int64_t, int64_t> kWorlds[] = {{1, 1}, {2, 0}, {2, 1}, {3, 3}, {4, 2}, {4, 3}};

TEST_F(HostStates, AreSavedByAllAsByOneAndReadByAnyOthers) {
  constexpr int64_t kBytes = 100'000;
  const std::string alone = directory_ / "alone";
  ASSERT_TRUE(CheckpointStore(alone, 1, 0).Save(Contents(expected_, 1, kBytes)).ok());
  const auto whole = Everything(Step("alone", 1));
  for (const auto& [ranks, zero] : kWorlds) {
    const ParallelPlan plan = {.ranks = ranks, .micro_batches = 12, .leaves = 12, .zero = zero};
    const std::string run = absl::StrCat("run-", ranks, "-", zero);
    ForConnectedRanks(ranks, [&](Ranks& place) {
      Rank rank = Make(plan, place.rank());
      auto state = HostState::Create(*rank.model, *rank.optimizer, place.communicator(), plan,
                                     {.format = {.shard_bytes = kBytes}});
      ASSERT_TRUE(state.ok()) << state.status();
      EXPECT_TRUE(
          state->Load([&](const StateParts& into) { return LoadCheckpoint(Step("alone", 1), expected_.table, into); })
              .ok());
      ExpectKept(rank);
      const auto mine = state->Collect();
      ASSERT_TRUE(mine.ok()) << mine.status();
      Fill(rank, 1);  // training goes on
      CheckpointContents contents = Contents(expected_, 1, kBytes);
      contents.parameters = mine->parameters;
      contents.optimizer = mine->moments;
      CheckpointStore store(directory_ / run, 1, 0, 0, CheckpointRanks(place.control(), kLimit));
      const absl::Status saved = store.Save(contents);
      EXPECT_TRUE(saved.ok()) << saved;
    });
    EXPECT_TRUE(Everything(Step(run, 1)) == whole) << ranks << " ranks, stage " << zero;
  }
}

TEST_F(HostStates, AnyCutIsReadByAnyRanks) {
  for (const int64_t bytes : {int64_t{2000}, int64_t{300'000}, int64_t{1} << 30}) {
    const std::string run = absl::StrCat("run-", bytes);
    CheckpointContents contents = Contents(expected_, 1, bytes);
    contents.weights_dtype = bytes == 300'000 ? DType::kBf16 : DType::kF32;  // and with masters
    ASSERT_TRUE(CheckpointStore(directory_ / run, 1, 0).Save(contents).ok());
    for (const auto& [ranks, zero] : {std::pair(1, 1), std::pair(3, 3), std::pair(4, 1)}) {
      const ParallelPlan plan = {.ranks = ranks, .micro_batches = 12, .leaves = 12, .zero = zero};
      for (int64_t place = 0; place < ranks; ++place) {
        Rank rank = Make(plan, place);
        const OptimizerTensors moments = rank.optimizer->tensors();
        const auto state = LoadCheckpoint(Step(run, 1), expected_.table,
                                          {.parameters = FlatPart(rank.kept, rank.model->parameters()),
                                           .m = FlatPart(rank.part, moments.m),
                                           .v = FlatPart(rank.part, moments.v)});
        ASSERT_TRUE(state.ok()) << state.status();
        ExpectKept(rank);
      }
    }
  }
}

TEST_F(HostStates, ARankHasMemoryForWhatItWritesAlone) {
  const ParallelPlan four = {.ranks = 4, .micro_batches = 12, .leaves = 12, .zero = 1}, one = {};
  const HostState::Options options = {.format = {.shard_bytes = 50'000}};
  const int64_t whole = HostState::Bytes(Device::kCpu, expected_.table, one, 0, options);
  EXPECT_GE(whole, 12 * expected_.table.parameters);
  for (int64_t rank = 0; rank < 4; ++rank) {
    // A quarter, and what the largest parameter (384,000 bytes, 1,152,000 with its moments) moves.
    EXPECT_LE(HostState::Bytes(Device::kCpu, expected_.table, four, rank, options), whole / 4 + 1'152'000);
  }
  EXPECT_EQ(HostState::Bytes(Device::kCpu, expected_.table, one, 0, {.format = {}, .background = false}), 0);
}

// A shard less, or one of another run among them: named, and nothing is read over its end.
TEST_F(CheckpointTogether, ShardsThatDoNotBelongTogetherAreRefused) {
  SmallModel model(LlamaDims()), into(LlamaDims(), 2);
  CheckpointStore store(directory_ / "run", 9, 0);
  ASSERT_TRUE(store.Save(Contents(model, 1)).ok());
  const std::string directory = Step("run", 1);
  const Manifest whole_manifest = *ReadCheckpointManifest(directory);
  const auto message = [&] {
    Manifest manifest = whole_manifest;
    for (auto it = manifest.files.begin(); it != manifest.files.end();) {
      const std::string path = JoinPath(directory, it->first);
      if (FileExists(path)) it->second = *RecordOf(path);
      it = FileExists(path) ? std::next(it) : manifest.files.erase(it);
    }
    EXPECT_TRUE(WriteFileAtomically(JoinPath(directory, kManifestName), ManifestText(manifest)).ok());
    return std::string(LoadCheckpoint(directory, into.table, into.state_parts()).status().message());
  };
  EXPECT_EQ(message(), "");
  const std::vector<CheckpointFile> files = CutCheckpoint(model.table, Contents(model, 1).format());
  for (const CheckpointFile& file : {files.front(), files.back()}) {
    const std::string path = JoinPath(directory, file.name), whole = *ReadFile(path);
    ASSERT_TRUE(RemoveRecursively(path).ok());
    EXPECT_THAT(message(), HasSubstr(file.optimizer ? "is missing" : file.name));
    ASSERT_TRUE(WriteFileAtomically(path, *ReadFile(JoinPath(directory, files[1].name))).ok());
    EXPECT_THAT(message(), HasSubstr(file.optimizer ? "tensor" : file.name));
    ASSERT_TRUE(WriteFileAtomically(path, whole).ok());
  }
}

}  // namespace
}  // namespace ingot
