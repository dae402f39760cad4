#include "core/training/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <limits>
#include <numeric>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/training/hf_model.h"
#include "core/training/manifest.h"
#include "tests/core/training/checkpoint_fixture.h"

namespace ingot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> Saved(const TemporaryDirectory& run) {
  return ListDirectory(run / "checkpoints").value_or(std::vector<std::string>());
}

std::string Step(const TemporaryDirectory& run, int64_t step) {
  return run / absl::StrCat("checkpoints/step-0000000", step);
}

std::optional<std::string> Newest(const std::string& run, std::vector<std::string>* rejected = nullptr) {
  std::vector<std::string> lines;
  const auto newest = CheckpointStore(run, 1, 0).NewestValid(lines);
  EXPECT_TRUE(newest.ok()) << newest.status();
  if (rejected != nullptr) *rejected = lines;
  return newest.value_or(std::nullopt);
}

// All files of a directory as one text.
std::string Everything(const std::string& directory) {
  std::string all;
  const std::vector<std::string> names = *ListDirectory(directory);
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory, name);
    absl::StrAppend(&all, name, "\n", DirectoryExists(path) ? Everything(path) : *ReadFile(path));
  }
  return all;
}

class Checkpoint : public testing::TestWithParam<std::tuple<bool, DType>> {};

TEST_P(Checkpoint, ComesBackBitForBit) {
  const auto [gpt2, dtype] = GetParam();
  const TemporaryDirectory run;
  SmallModel saved(gpt2 ? Gpt2Dims() : LlamaDims(), 1), loaded(saved.dims, 2);
  CheckpointContents contents = saved.contents(7);
  contents.weights_dtype = dtype;
  contents.state.raw_documents = {{5, 0xFEDCBA9876543211u}, {0, 0}};
  ASSERT_TRUE(CheckpointStore(run.path(), 2, 0).Save(contents).ok());
  const std::string directory = Step(run, 7);
  EXPECT_EQ(Newest(run.path()), directory);
  const auto state = LoadCheckpoint(directory, loaded.table, loaded.state_parts());
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(loaded.values, saved.values);
  EXPECT_EQ(state->step, 7);
  EXPECT_EQ(state->next_sequence, 56);
  EXPECT_EQ(state->tokens, 896);
  EXPECT_EQ(state->dataset_fingerprint, 0xFEDCBA9876543210u);
  EXPECT_EQ(state->config, "model { layers: 2 }\n");
  EXPECT_EQ(state->environment, "test");
  EXPECT_EQ(state->raw_documents, contents.state.raw_documents);
}

INSTANTIATE_TEST_SUITE_P(All, Checkpoint,
                         testing::Combine(testing::Bool(), testing::Values(DType::kF32, DType::kBf16)));

TEST(CheckpointStore, HasNothingAtFirst) {
  const TemporaryDirectory run;
  EXPECT_EQ(Newest(run.path()), std::nullopt);
  EXPECT_EQ(Newest(run / "missing"), std::nullopt);
}

TEST(CheckpointStore, KeepsTheNewestAndTheChosen) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  CheckpointStore store(run.path(), 2, 4);
  for (int64_t step = 1; step <= 7; ++step) ASSERT_TRUE(store.Save(model.contents(step), step == 2).ok());
  EXPECT_THAT(Saved(run), ElementsAre("step-00000002", "step-00000004", "step-00000006", "step-00000007"));
}

TEST(CheckpointStore, CountsOnlyWholeOnes) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  CheckpointStore store(run.path(), 1, 0);
  ASSERT_TRUE(store.Save(model.contents(1)).ok());
  ASSERT_TRUE(CreateDirectories(Step(run, 9)).ok());  // newer by name, but nothing in it
  ASSERT_TRUE(CreateDirectories(run / "checkpoints/step-of-my-own").ok());
  ASSERT_TRUE(store.Save(model.contents(2)).ok());
  EXPECT_THAT(Saved(run), ElementsAre("step-00000002", "step-00000009", "step-of-my-own"));
  std::vector<std::string> rejected;
  EXPECT_EQ(Newest(run.path(), &rejected), Step(run, 2));
  EXPECT_THAT(rejected, ElementsAre(HasSubstr("step-00000009/MANIFEST.json")));
}

TEST(CheckpointStore, NeverRemovesWhatItJustSaved) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  CheckpointStore store(run.path(), 1, 0);
  ASSERT_TRUE(store.Save(model.contents(5)).ok());
  ASSERT_TRUE(store.Save(model.contents(3)).ok());
  EXPECT_THAT(Saved(run), ElementsAre("step-00000003", "step-00000005"));
}

TEST(CheckpointStore, RemovesWhatACrashLeft) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  ASSERT_TRUE(CreateDirectories(run / "checkpoints/.tmp-step-00000004/training_state").ok());
  ASSERT_TRUE(CreateDirectories(run / "checkpoints/.trash-step-00000001/training_state").ok());
  EXPECT_EQ(Newest(run.path()), std::nullopt);
  ASSERT_TRUE(CheckpointStore(run.path(), 1, 0).Save(model.contents(5)).ok());
  EXPECT_THAT(Saved(run), ElementsAre("step-00000005"));
}

// A run that is killed after its last commit saves no more: its next start must clear what the Save left.
TEST(CheckpointStore, CleansUpWithoutSaving) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  CheckpointStore(run.path(), 1, 0).CleanUp();  // nothing there yet
  for (const int64_t step : {1, 2}) ASSERT_TRUE(CheckpointStore(run.path(), 9, 0).Save(model.contents(step)).ok());
  ASSERT_TRUE(CreateDirectories(run / "checkpoints/.trash-step-00000000/training_state").ok());
  ASSERT_TRUE(CreateDirectories(run / "checkpoints/.tmp-step-00000003").ok());
  CheckpointStore(run.path(), 1, 0).CleanUp();
  EXPECT_THAT(Saved(run), ElementsAre("step-00000001", "step-00000002"));
}

TEST(CheckpointStore, SavesTheSameStepAgain) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims(), 1), other(LlamaDims(), 2);
  CheckpointStore store(run.path(), 1, 0);
  ASSERT_TRUE(store.Save(model.contents(5)).ok());
  const std::string first = Everything(run.path());
  ASSERT_TRUE(store.Save(model.contents(5)).ok());
  EXPECT_EQ(Everything(run.path()), first);
  ASSERT_TRUE(store.Save(model.contents(5), /*marked=*/true).ok());
  EXPECT_TRUE(ReadCheckpointManifest(Step(run, 5))->marked);
  ASSERT_TRUE(store.Save(model.contents(5)).ok());
  EXPECT_TRUE(ReadCheckpointManifest(Step(run, 5))->marked) << "a mark stays";
  ASSERT_TRUE(store.Save(other.contents(5)).ok());
  ASSERT_TRUE(LoadWeights(Step(run, 5), model.table, model.parameters()).ok());
  EXPECT_EQ(model.values[0], other.values[0]);
  EXPECT_THAT(Saved(run), ElementsAre("step-00000005"));
}

TEST(CheckpointStore, MomentsInBf16ComeBackBitForBit) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  const int64_t size = model.table.flat_size;
  std::vector<Bf16> moments[2], loaded[2];
  for (int kind = 0; kind < 2; ++kind) {
    for (const float value : model.values[kind + 1]) moments[kind].push_back(ToBf16(value));
    loaded[kind].resize(size);
  }
  const auto view = [size](std::vector<Bf16>& values) { return Tensor(values.data(), DType::kBf16, {size}); };
  CheckpointContents contents = model.contents(5);
  contents.optimizer = {view(moments[0]), view(moments[1])};
  ASSERT_TRUE(CheckpointStore(run.path(), 1, 0).Save(contents).ok());
  const auto state = LoadCheckpoint(Step(run, 5), model.table, {model.parameters(), view(loaded[0]), view(loaded[1])});
  ASSERT_TRUE(state.ok()) << state.status();
  for (int kind = 0; kind < 2; ++kind) {
    for (int64_t n = 0; n < size; ++n) ASSERT_EQ(loaded[kind][n].bits, moments[kind][n].bits) << kind << " " << n;
  }
  const auto refused = LoadCheckpoint(Step(run, 5), model.table, model.state_parts());
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("expected moments in F32 by optimizer.moments_dtype, found BF16; set it to bf16"));
}

TEST(CheckpointStore, ReplacesABrokenOne) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  CheckpointStore store(run.path(), 1, 0);
  ASSERT_TRUE(store.Save(model.contents(5)).ok());
  const std::string whole = Everything(run.path());
  ASSERT_EQ(truncate((Step(run, 5) + "/model.safetensors").c_str(), 100), 0);
  ASSERT_TRUE(store.Save(model.contents(5)).ok());
  EXPECT_EQ(Everything(run.path()), whole);
}

TEST(CheckpointStore, KeepsNoPoisonedWeights) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  CheckpointStore store(run.path(), 1, 0);
  ASSERT_TRUE(store.Save(model.contents(1)).ok());
  const std::string before = Everything(run.path());
  for (int kind = 0; kind < 3; ++kind) {
    SmallModel bad(LlamaDims());
    bad.values[kind][bad.table.specs.back().offset + 3] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THAT(std::string(store.Save(bad.contents(2)).message()),
                HasSubstr(bad.table.specs.back().name + ": expected finite values, found nan"));
    EXPECT_EQ(Everything(run.path()), before);
  }
}

// The files of a checkpoint, the manifest included.
std::vector<std::string> FilesOf(const std::string& directory) {
  std::vector<std::string> files = {JoinPath(directory, kManifestName)};
  const Manifest manifest = *ReadCheckpointManifest(directory);
  for (const auto& file : manifest.files) files.push_back(JoinPath(directory, file.first));
  return files;
}

// Changes one bit in place; the same call again brings it back.
void FlipBit(const std::string& path, uint64_t bit) {
  FILE* file = fopen(path.c_str(), "r+b");
  ASSERT_NE(file, nullptr);
  fseek(file, static_cast<long>(bit / 8), SEEK_SET);
  const int byte = fgetc(file);
  fseek(file, static_cast<long>(bit / 8), SEEK_SET);
  fputc(byte ^ (1 << (bit % 8)), file);
  fclose(file);
}

// 10,000 random bits over all files, as many a byte everywhere, and the first 20 bytes of each file: none is missed.
TEST(VerifyCheckpoint, FindsEveryFlippedBit) {
  const TemporaryDirectory run;
  SmallModel model({.L = 1, .C = 8, .H = 2, .K = 1, .D = 4, .F = 8, .V = 8, .T = 4});
  ASSERT_TRUE(CheckpointStore(run.path(), 1, 0).Save(model.contents(1)).ok());
  const std::vector<std::string> files = FilesOf(Step(run, 1));
  ASSERT_EQ(files.size(), 7u);
  std::vector<uint64_t> bits;
  for (const std::string& file : files) bits.push_back(8 * *FileSize(file));
  const uint64_t all = std::accumulate(bits.begin(), bits.end(), uint64_t{0});
  std::mt19937_64 random(7);
  for (int flip = 0; flip < 10000; ++flip) {
    uint64_t bit = random() % all;
    size_t file = 0;
    for (; bit >= bits[file]; ++file) bit -= bits[file];
    if (flip < 20 * static_cast<int>(files.size())) {
      file = flip % files.size();
      bit = random() % std::min<uint64_t>(160, bits[file]);
    }
    FlipBit(files[file], bit);
    ASSERT_FALSE(VerifyCheckpoint(Step(run, 1)).ok()) << files[file] << " bit " << bit;
    FlipBit(files[file], bit);
  }
  EXPECT_TRUE(VerifyCheckpoint(Step(run, 1)).ok()) << "all bits are back";
}

// Every file cut at every interesting place: named, and the older checkpoint is taken.
TEST(CheckpointStore, ATruncatedFileIsNamedAndTheOlderOneTaken) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  for (const int64_t step : {1, 2}) ASSERT_TRUE(CheckpointStore(run.path(), 2, 0).Save(model.contents(step)).ok());
  for (const std::string& file : FilesOf(Step(run, 2))) {
    const std::string whole = *ReadFile(file);
    for (const size_t size : {size_t{0}, size_t{1}, whole.size() / 2, whole.size() - 1}) {
      ASSERT_EQ(truncate(file.c_str(), static_cast<off_t>(size)), 0);
      std::vector<std::string> rejected;
      EXPECT_EQ(Newest(run.path(), &rejected), Step(run, 1)) << file << " cut to " << size;
      EXPECT_THAT(rejected, ElementsAre(HasSubstr(file + ": damaged")));
      ASSERT_TRUE(WriteFileAtomically(file, whole).ok());
    }
    ASSERT_TRUE(RemoveRecursively(file).ok());
    std::vector<std::string> rejected;
    EXPECT_EQ(Newest(run.path(), &rejected), Step(run, 1)) << file << " missing";
    EXPECT_THAT(rejected, ElementsAre(HasSubstr(file)));
    ASSERT_TRUE(WriteFileAtomically(file, whole).ok());
  }
  EXPECT_EQ(Newest(run.path()), Step(run, 2));
}

// What is damaged does not count as kept: with keep_last = 1 the last whole one is never removed for it.
TEST(CheckpointStore, ADamagedOneDoesNotPushOutAWholeOne) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  CheckpointStore store(run.path(), 2, 0);
  for (const int64_t step : {1, 2, 3}) ASSERT_TRUE(store.Save(model.contents(step)).ok());
  ASSERT_EQ(truncate((Step(run, 3) + "/model.safetensors").c_str(), 9), 0);
  ASSERT_TRUE(store.Save(model.contents(4)).ok());
  EXPECT_THAT(Saved(run), ElementsAre("step-00000002", "step-00000003", "step-00000004"));
}

TEST(CheckpointStore, KeepsTheNewestOfAnInterval) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  CheckpointStore store(run.path(), 1, 0, /*keep_newest_of=*/4);
  for (int64_t step = 1; step <= 9; ++step) ASSERT_TRUE(store.Save(model.contents(step)).ok());
  EXPECT_THAT(Saved(run), ElementsAre("step-00000008", "step-00000009"));
  std::vector<std::string> rejected;
  EXPECT_EQ(*store.NewestValid(rejected, 4), Step(run, 8));
}

TEST(LoadCheckpoint, NamesWhatIsWrong) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  ASSERT_TRUE(CheckpointStore(run.path(), 1, 0).Save(model.contents(1)).ok());
  const std::string directory = Step(run, 1);
  const auto message = [&](SmallModel& into) {
    return std::string(LoadCheckpoint(directory, into.table, into.state_parts()).status().message());
  };
  ModelDims wider = LlamaDims(), shallower = LlamaDims();
  wider.F = 64;
  shallower.L = 1;
  SmallModel wide(wider), shallow(shallower), gpt2(Gpt2Dims());
  EXPECT_THAT(message(wide), HasSubstr("expected shape"));
  EXPECT_THAT(message(shallow), HasSubstr("expected"));
  EXPECT_THAT(message(gpt2), HasSubstr("is missing"));
  const std::string weights = JoinPath(directory, "model.safetensors");
  ASSERT_EQ(truncate(weights.c_str(), 1000), 0);
  EXPECT_THAT(message(model), HasSubstr("model.safetensors: damaged: expected"));
  ASSERT_TRUE(RemoveRecursively(weights).ok());
  EXPECT_THAT(message(model), HasSubstr("model.safetensors"));
}

// A manifest that fits does not make a bad file good: what an ill-meaning writer could do.
TEST(LoadCheckpoint, SurvivesABadFileWithAGoodManifest) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  ASSERT_TRUE(CheckpointStore(run.path(), 1, 0).Save(model.contents(1)).ok());
  const std::string directory = Step(run, 1);
  const std::string good_manifest = *ReadFile(JoinPath(directory, kManifestName));
  const std::string header_of_2_60("\0\0\0\0\0\0\0\x10{}", 10);
  for (const char* file :
       {"model.safetensors", "training_state/optimizer-00000-of-00001.safetensors", "training_state/state.json"}) {
    const std::string path = JoinPath(directory, file), whole = *ReadFile(path);
    ASSERT_TRUE(WriteFileAtomically(path, header_of_2_60).ok());
    Manifest manifest = *ReadCheckpointManifest(directory);
    manifest.files[file] = *RecordOf(path);
    ASSERT_TRUE(WriteFileAtomically(JoinPath(directory, kManifestName), ManifestText(manifest)).ok());
    EXPECT_TRUE(VerifyCheckpoint(directory).ok());
    const auto state = LoadCheckpoint(directory, model.table, model.state_parts());
    EXPECT_THAT(std::string(state.status().message()), HasSubstr(file));
    ASSERT_TRUE(WriteFileAtomically(path, whole).ok());
    ASSERT_TRUE(WriteFileAtomically(JoinPath(directory, kManifestName), good_manifest).ok());
  }
}

// Saves steps first, first + 1, … until somebody ends the process.
[[noreturn]] void SaveForEver(const std::string& run, int64_t first) {
  SmallModel model(LlamaDims(), first);
  CheckpointStore store(run, 1, 0);
  for (int64_t step = first;; ++step) {
    if (!store.Save(model.contents(step)).ok()) _exit(1);
  }
}

TEST(CheckpointStore, AlwaysHasAValidOneWhenKilled) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  std::mt19937 random(1);
  int64_t next = 1;
  for (int round = 0; round < 60; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) SaveForEver(run.path(), next);
    // Long enough for a first checkpoint in the first round; then any moment of any Save.
    while (round == 0 && !Newest(run.path()).has_value()) usleep(1000);
    usleep(std::uniform_int_distribution<useconds_t>(0, 30000)(random));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "a Save failed by itself";
    std::vector<std::string> rejected;
    const auto newest = Newest(run.path(), &rejected);
    ASSERT_TRUE(newest.has_value()) << "round " << round;
    EXPECT_THAT(rejected, IsEmpty());
    const auto state = LoadCheckpoint(*newest, model.table, model.state_parts());
    ASSERT_TRUE(state.ok()) << state.status();
    ASSERT_GE(state->step + 1, next) << "a committed checkpoint went away";
    next = state->step + 1;
  }
}

// Fills up while a Save is under way; whatever was there stays, and nothing else does.
void ExpectUntouchedWhenFull(const std::string& run_directory) {
  SmallModel model(LlamaDims());
  CheckpointStore store(run_directory, 1, 0);
  ASSERT_TRUE(store.Save(model.contents(1)).ok());
  const std::string before = Everything(run_directory);
  const absl::Status full = store.Save(model.contents(2));
  ASSERT_FALSE(full.ok());
  EXPECT_THAT(std::string(full.message()), HasSubstr("checkpoint not saved"));
  EXPECT_EQ(Everything(run_directory), before);
}

TEST(CheckpointStore, StaysAsItWasWhenTheDiskIsFull) {
  const TemporaryDirectory mount_point;
  const int64_t values = SmallModel(LlamaDims()).table.parameters * 3;
  const std::string options = absl::StrCat("size=", 4 * values * 3 / 2);  // one checkpoint and a half
  if (mount("tmpfs", mount_point.path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
    GTEST_SKIP() << "this process may not mount a small file system";
  }
  ExpectUntouchedWhenFull(mount_point.path());
  umount(mount_point.path().c_str());
}

TEST(CheckpointStore, StaysAsItWasWhenAFileCannotGrow) {
  const TemporaryDirectory run;
  SmallModel model(LlamaDims());
  CheckpointStore store(run.path(), 1, 0);
  ASSERT_TRUE(store.Save(model.contents(1)).ok());
  const std::string before = Everything(run.path());
  const pid_t child = fork();  // the limit holds for a whole process
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {20000, 20000};
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(store.Save(model.contents(2)).ok() ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << status;
  EXPECT_EQ(Everything(run.path()), before);
}

}  // namespace
}  // namespace ingot
