// Best-fit rows, fill-in-the-middle, and what a loader makes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "data_pipeline/best_fit.h"
#include "data_pipeline/fim.h"
#include "data_pipeline/loader.h"
#include "tests/data_pipeline/test_dataset.h"

namespace ingot {
namespace {

class PackingTest : public ::testing::Test {
 protected:
  Dataset Build(int documents, int64_t shard_tokens = 1000) {
    const std::string name = std::to_string(documents) + "-" + std::to_string(shard_tokens);
    const std::string input = dir_.Write(name + ".jsonl", AsJsonl(SomeDocuments(documents)));
    return MustBuild({.inputs = {input}, .output = dir_ / name, .shard_tokens = shard_tokens}, ByteEncoder(dir_));
  }
  TestDirectory dir_;
};

TEST_F(PackingTest, BestFitRowsHoldEveryTokenOnce) {
  const Dataset dataset = Build(500);
  const TokenStream& stream = dataset.state().stream(Split::kTraining);
  const auto all = TokensOf(dataset, Split::kTraining);
  for (const int64_t T : {1, 7, 32, 64, 300}) {
    const auto rows = MakePackedRows(stream, T, 1);
    ASSERT_EQ(rows->count(), stream.tokens() / T);
    std::vector<int32_t> tokens(static_cast<size_t>(T));
    std::vector<Segment> segments;
    std::vector<bool> seen(static_cast<size_t>(rows->count() * T));
    for (int64_t row = 0; row < rows->count(); ++row) {
      ASSERT_TRUE(rows->Read(row, tokens.data(), &segments, nullptr).ok());
      int64_t at = 0;
      for (const Segment& segment : segments) {
        ASSERT_EQ(segment.begin, at);
        at = segment.end;
        for (int64_t t = segment.begin; t < segment.end; ++t) {
          const auto place = static_cast<size_t>(segment.origin + t - segment.begin);
          ASSERT_EQ(tokens[static_cast<size_t>(t)], all[place]);
          ASSERT_LT(place, seen.size());
          ASSERT_FALSE(seen[place]);
          seen[place] = true;
        }
        ASSERT_EQ(segment.ends_document, tokens[static_cast<size_t>(segment.end - 1)] == kByteEndOfText);
      }
      ASSERT_EQ(at, T) << "no place is empty";
    }
  }
}

TEST_F(PackingTest, BestFitCutsFewerDocuments) {
  const Dataset dataset = Build(2000);
  const auto report = ReportPacking(dataset.state().stream(Split::kTraining), 128);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->documents, dataset.documents(Split::kTraining));
  EXPECT_EQ(report->longer_than_row, 0);
  EXPECT_GT(report->cut_by_windows, report->documents / 8);
  EXPECT_LT(report->cut_by_best_fit, report->cut_by_windows / 20);
  const auto longer = ReportPacking(dataset.state().stream(Split::kTraining), 32);
  EXPECT_GE(longer->cut_by_best_fit, longer->longer_than_row);
  EXPECT_GT(longer->longer_than_row, 0);
}

TEST_F(PackingTest, ALoaderOfBestFitRowsHasNoEmptyPlaceAndTrueTargets) {
  const Dataset dataset = Build(400);
  const int64_t T = 48;
  for (const bool masks : {true, false}) {
    const auto loader =
        Loader::Create(dataset, {.B = 3, .T = T, .seed = 4, .mask_documents = masks, .packing = Packing::kBestFit});
    ASSERT_TRUE(loader.ok()) << loader.status();
    TokenBatch batch;
    std::map<int32_t, int64_t> counts;
    const int64_t rows = (*loader)->windows() / 3 * 3;
    for (int64_t first = 0; first < rows; first += 3) {
      EXPECT_TRUE((*loader)->Read(first, batch).ok());
      for (size_t n = 0; n < batch.tokens.size(); ++n) {
        ++counts[batch.tokens[n]];
        const bool ends = batch.tokens[n] == kByteEndOfText;
        const bool row_ends = static_cast<int64_t>(n + 1) % T == 0;
        if (masks && ends) {
          ASSERT_EQ(batch.targets[n], -1);
        }
        if (masks && !ends && !row_ends && batch.document_start[n + 1] == batch.document_start[n]) {
          ASSERT_EQ(batch.targets[n], batch.tokens[n + 1]);
        }
        if (!ends) {
          ASSERT_GE(batch.targets[n], 0) << "a cut part knows what follows it in the text";
        }
      }
    }
    EXPECT_GT(counts[kByteEndOfText], 200);
  }
}

// Undoes the rearrangement of one part.
std::vector<int32_t> Restore(const std::vector<int32_t>& part) {
  const auto find = [&](int32_t id) { return std::find(part.begin(), part.end(), id); };
  const auto pre = find(300), mid = find(301), suf = find(302);
  std::vector<int32_t> text(pre + 1, suf);  // the prefix; empty in SPM order
  text.insert(text.end(), mid + 1, part.end());
  text.insert(text.end(), suf + 1, mid);
  EXPECT_EQ(text.size() + 3, part.size());
  return text;
}

TEST(Fim, RearrangesAtTheRateAndLosesNothingButTheRowsEnd) {
  const FimPlan plan = {.rate = 0.5, .spm_rate = 0.5, .prefix = 300, .middle = 301, .suffix = 302};
  const size_t T = 64, parts = 4;
  int chosen = 0, spm = 0, total = 0;
  for (int64_t epoch = 0; epoch < 500; ++epoch) {
    std::vector<int32_t> in(T), out(T);
    std::vector<Segment> segments, made;
    for (size_t t = 0; t < T; ++t) in[t] = t % 16 == 15 ? kByteEndOfText : static_cast<int32_t>(t);
    for (size_t p = 0; p < parts; ++p) {
      const auto begin = static_cast<int64_t>(16 * p);
      segments.push_back({begin, begin + 16, 1000 + begin, p + 1 < parts ? in[16 * p + 16] : 7, true});
    }
    FillInTheMiddle(plan, 9, epoch, in, segments, out, made);
    int64_t at = 0;
    for (size_t p = 0; p < made.size(); ++p) {
      ASSERT_EQ(made[p].begin, at);
      at = made[p].end;
      std::vector<int32_t> got(out.begin() + made[p].begin, out.begin() + made[p].end);
      const bool rearranged = got[0] == 300;
      ++total;
      chosen += rearranged;
      spm += rearranged && got[1] == 302;
      if (made[p].ends_document) {
        ASSERT_EQ(got.back(), kByteEndOfText);
        got.pop_back();
      } else {
        ASSERT_EQ(made[p].end, static_cast<int64_t>(T));
      }
      // SPM puts prefix and middle behind each other, so the text is restored from where the middle mark stands.
      std::vector<int32_t> text = rearranged ? Restore(got) : got;
      std::sort(text.begin(), text.end());
      const std::vector<int32_t> begin(in.begin() + static_cast<int64_t>(16 * p),
                                       in.begin() + static_cast<int64_t>(16 * p + text.size()));
      ASSERT_EQ(text, begin);
    }
    ASSERT_EQ(at, static_cast<int64_t>(T));
  }
  EXPECT_NEAR(chosen, total * 0.5, 4 * std::sqrt(total * 0.25));
  EXPECT_NEAR(spm, chosen * 0.5, 4 * std::sqrt(chosen * 0.25));
}

TEST_F(PackingTest, FimIsAFunctionOfSeedAndIndex) {
  const Dataset dataset = Build(300);
  LoaderPlan plan = {.B = 4, .T = 64, .seed = 4, .mask_documents = true};
  plan.fim = {.rate = 0.7, .prefix = 300, .middle = 301, .suffix = 302};
  const auto one = Loader::Create(dataset, plan), two = Loader::Create(dataset, plan);
  plan.seed = 5;
  const auto other = Loader::Create(dataset, plan);
  TokenBatch a, b, c;
  int64_t marks[3] = {};
  for (int64_t first = 0; first < 60; first += 4) {
    EXPECT_TRUE((*one)->Read(first, a).ok());
    EXPECT_TRUE((*two)->Read(first, b).ok());
    EXPECT_TRUE((*other)->Read(first, c).ok());
    ASSERT_EQ(a.tokens, b.tokens);
    ASSERT_EQ(a.targets, b.targets);
    ASSERT_EQ(a.document_start, b.document_start);
    ASSERT_NE(a.tokens, c.tokens);
    for (const int32_t id : a.tokens) {
      if (id >= 300 && id <= 302) ++marks[id - 300];
    }
  }
  EXPECT_GT(marks[0], 20);
  EXPECT_EQ(marks[0], marks[2]);
  EXPECT_EQ(marks[0], marks[1]);
}

}  // namespace
}  // namespace ingot
