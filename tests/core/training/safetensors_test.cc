#include "core/training/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "tests/core/training/checkpoint_fixture.h"

namespace ingot {
namespace {

using testing::HasSubstr;

std::string File(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

std::string Refusal(const std::string& file) {
  const absl::StatusOr<SafetensorsHeader> header = ParseSafetensorsHeader(file, "f");
  return header.ok() ? "accepted" : std::string(header.status().message());
}

// The worked example of docs/checkpoint_format.md.
TEST(Safetensors, WritesTheWorkedExample) {
  const TemporaryDirectory directory;
  const std::vector<float> a = {1, 2, 3, 4, 5, 6}, b = {0.5f};
  const std::string path = directory / "example.safetensors";
  const auto record =
      WriteSafetensors(path, {{"b", {1}, false, DType::kBf16, b.data()}, {"a", {2, 3}, true, DType::kF32, a.data()}},
                       {{"format", "pt"}});
  ASSERT_TRUE(record.ok()) << record.status();
  std::string header = R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},)"
                       R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[24,26]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const float transposed[] = {1, 4, 2, 5, 3, 6};
  const std::string data = std::string(reinterpret_cast<const char*>(transposed), 24) + std::string("\x00\x3F", 2);
  EXPECT_EQ(*ReadFile(path), File(header, data));
  EXPECT_EQ(record->bytes, File(header, data).size());
}

TEST(Safetensors, OrdersLikeTheReferenceWriter) {
  const TemporaryDirectory directory;
  const float value = 1;
  std::vector<TensorSource> tensors;
  for (const auto& [name, dtype] : std::vector<std::pair<std::string, DType>>{
           {"z", DType::kF32}, {"a", DType::kF16}, {"y", DType::kBf16}, {"b", DType::kF32}}) {
    tensors.push_back({name, {1}, false, dtype, &value});
  }
  ASSERT_TRUE(WriteSafetensors(directory / "f", tensors, {}).ok());
  const auto header = ParseSafetensorsHeader(*ReadFile(directory / "f"), "f");
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->tensors.at("b").begin, 0u);
  EXPECT_EQ(header->tensors.at("z").begin, 4u);
  EXPECT_EQ(header->tensors.at("y").begin, 8u);
  EXPECT_EQ(header->tensors.at("a").begin, 10u);
}

TEST(Safetensors, ReadsBackEveryDtype) {
  const TemporaryDirectory directory;
  const std::vector<float> values = {0.0f, -1.5f, 0.25f, 1024.0f, -0.0078125f, 3.0f};  // exact in all three
  for (const DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
    for (const bool transposed : {false, true}) {
      ASSERT_TRUE(WriteSafetensors(directory / "f", {{"w", {3, 2}, transposed, dtype, values.data()}}, {}).ok());
      const auto reader = SafetensorsReader::Open(directory / "f");
      ASSERT_TRUE(reader.ok()) << reader.status();
      std::vector<float> read(6);
      ASSERT_TRUE(reader->Read("w", {3, 2}, transposed, read.data()).ok());
      EXPECT_EQ(read, values);
      EXPECT_THAT(std::string(reader->Read("w", {6, 1}, false, read.data()).message()), HasSubstr("expected shape"));
      EXPECT_THAT(std::string(reader->Read("x", {3, 2}, false, read.data()).message()), HasSubstr("x is missing"));
    }
  }
}

TEST(Safetensors, WritesNothingThatIsNotFinite) {
  const TemporaryDirectory directory;
  std::vector<float> values(200000, 1.0f);
  const auto message = [&](DType dtype, float value) {
    values[150000] = value;
    const auto record = WriteSafetensors(directory / "f", {{"layer.w", {200000}, false, dtype, values.data()}}, {});
    return std::string(record.status().message());
  };
  EXPECT_THAT(message(DType::kF32, std::nanf("")), HasSubstr("layer.w: expected finite values, found nan"));
  EXPECT_THAT(message(DType::kBf16, std::numeric_limits<float>::infinity()), HasSubstr("found inf"));
  EXPECT_THAT(message(DType::kF16, 65536.0f), HasSubstr("65536 is too large for f16"));
  EXPECT_THAT(message(DType::kBf16, std::numeric_limits<float>::max()), HasSubstr("too large for bf16"));
  EXPECT_EQ(message(DType::kF16, 65504.0f), "");
}

TEST(SafetensorsHeader, AcceptsForeignOrderAndEmptyTensors) {
  const std::string header =
      R"( {"b":{"dtype":"I64","shape":[],"data_offsets":[4,12]},"a":{"data_offsets":[0,4],"shape":[4],"dtype":"U8"},)"
      R"("none":{"dtype":"F32","shape":[0,7],"data_offsets":[12,12]}}  )";
  EXPECT_EQ(Refusal(File(header.substr(1), std::string(12, 'x'))), "accepted");
  EXPECT_THAT(Refusal(File(header, std::string(12, 'x'))), HasSubstr("does not begin with '{'"));
  EXPECT_EQ(Refusal(File("{}", "")), "accepted");
}

TEST(SafetensorsHeader, RefusesBadLengths) {
  std::string file = File(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "abcd");
  EXPECT_THAT(Refusal(""), HasSubstr("at least 8"));
  EXPECT_THAT(Refusal(file.substr(0, file.size() - 1)), HasSubstr("it was cut off"));
  EXPECT_THAT(Refusal(file + "x"), HasSubstr("the file holds 5"));
  for (const uint64_t length : {uint64_t{1} << 60, uint64_t{100'000'001}, ~uint64_t{0}, uint64_t{file.size() - 7}}) {
    std::memcpy(file.data(), &length, 8);
    EXPECT_THAT(Refusal(file), HasSubstr(absl::StrCat("claims ", length)));
  }
}

TEST(SafetensorsHeader, RefusesBadEntries) {
  const auto one = [](const std::string& entry) { return Refusal(File("{\"a\":" + entry + "}", "abcd")); };
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[4],"data_offsets":[1,5]})"), HasSubstr("hole or an overlap"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[5],"data_offsets":[0,4]})"), HasSubstr("needs 5 bytes"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[4],"data_offsets":[4,0]})"), HasSubstr("BEGIN <= END"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[-4],"data_offsets":[0,4]})"), HasSubstr("shape"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[4.0],"data_offsets":[0,4]})"), HasSubstr("shape"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,4]})"), HasSubstr("shape"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[4611686018427387904,4,2],"data_offsets":[0,4]})"),
              HasSubstr("more than 2^63"));
  EXPECT_THAT(one(R"({"dtype":"Q4","shape":[4],"data_offsets":[0,4]})"), HasSubstr("unknown dtype \"Q4\""));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[4]})"), HasSubstr("expected an object"));
  EXPECT_THAT(one("7"), HasSubstr("expected an object"));
  const std::string good = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  EXPECT_THAT(Refusal(File("{" + good + "," + good + "}", "abcd")), HasSubstr("occurs twice"));
  EXPECT_THAT(Refusal(File("{\"__metadata__\":{\"k\":1}," + good + "}", "abcd")), HasSubstr("expected a string"));
  EXPECT_THAT(Refusal(File("{\"\xFF\":1}", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Refusal(File("{" + good + ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}", "abcd")),
              HasSubstr("tensor b begins at byte 2"));
}

// A model split as other programs split large ones.
class Shards : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteSafetensors(directory_ / "one.safetensors", {{"a", {2}, false, DType::kF32, values_}}, {}).ok());
    ASSERT_TRUE(
        WriteSafetensors(directory_ / "two.safetensors", {{"b", {2}, false, DType::kF32, values_ + 2}}, {}).ok());
  }
  absl::StatusOr<SafetensorsReader> Open(const std::string& weight_map) {
    EXPECT_TRUE(WriteFileAtomically(directory_ / "model.safetensors.index.json",
                                    "{\"metadata\":{\"total_size\":16},\"weight_map\":" + weight_map + "}")
                    .ok());
    return SafetensorsReader::OpenModel(directory_.path());
  }
  std::string Message(const std::string& weight_map) { return std::string(Open(weight_map).status().message()); }

  const TemporaryDirectory directory_;
  const float values_[4] = {1, 2, 3, 4};
};

TEST_F(Shards, AreReadByTheIndex) {
  const auto reader = Open(R"({"a":"one.safetensors","b":"two.safetensors"})");
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::vector<float> read(2);
  ASSERT_TRUE(reader->Read("b", {2}, false, read.data()).ok());
  EXPECT_THAT(read, testing::ElementsAre(3, 4));
}

TEST_F(Shards, AreRefusedWhereTheIndexIsWrong) {
  EXPECT_THAT(Message(R"({"a":"one.safetensors","c":"two.safetensors"})"), HasSubstr("tensor c is missing"));
  EXPECT_THAT(Message(R"({"a":"one.safetensors","b":"one.safetensors"})"), HasSubstr("tensor b is missing"));
  EXPECT_THAT(Message(R"({"a":"../one.safetensors"})"), HasSubstr("the name of a file in this directory"));
  EXPECT_THAT(Message(R"({"a":"x\\one"})"), HasSubstr("the name of a file in this directory"));
  EXPECT_THAT(Message(R"({"a":"/etc/passwd"})"), HasSubstr("the name of a file in this directory"));
  EXPECT_THAT(Message(R"({"a":"three.safetensors"})"), HasSubstr("three.safetensors"));
  EXPECT_THAT(Message("[]"), HasSubstr("weight_map: expected an object"));
  ASSERT_TRUE(WriteSafetensors(directory_ / "two.safetensors", {{"a", {2}, false, DType::kF32, values_}}, {}).ok());
  EXPECT_THAT(Message(R"({"a":"one.safetensors","b":"two.safetensors"})"), HasSubstr("stands in"));
}

TEST(SafetensorsReader, NeverOpensPickles) {
  const TemporaryDirectory directory;
  EXPECT_THAT(std::string(SafetensorsReader::OpenModel(directory.path()).status().message()),
              HasSubstr("found neither"));
  ASSERT_TRUE(WriteFileAtomically(directory / "pytorch_model.bin", "x").ok());
  EXPECT_THAT(std::string(SafetensorsReader::OpenModel(directory.path()).status().message()), HasSubstr("pickle"));
}

}  // namespace
}  // namespace ingot
