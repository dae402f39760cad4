#include "core/base/arena.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "gtest/gtest.h"

namespace ingot {
namespace {

TEST(ArenaTest, PiecesAreAlignedApartAndZero) {
  absl::StatusOr<Arena> arena = Arena::Create("test", 4096);
  ASSERT_TRUE(arena.ok()) << arena.status();
  const Tensor a = arena->Take("a", DType::kF32, {3, 5}), b = arena->Take("b", DType::kU8, {1});
  for (const Tensor& t : {a, b}) EXPECT_EQ(reinterpret_cast<uintptr_t>(t.ptr) % Arena::kAlignment, 0u);
  EXPECT_GE(static_cast<char*>(b.ptr) - static_cast<char*>(a.ptr), Bytes(a));
  EXPECT_EQ(arena->used(), 512);
  EXPECT_TRUE(std::all_of(a.data<float>(), a.data<float>() + 15, [](float x) { return x == 0; }));
  std::fill_n(a.data<float>(), 15, 1.0f);
  EXPECT_EQ(*b.data<uint8_t>(), 0);
}

TEST(ArenaTest, MovesKeepTheMemory) {
  absl::StatusOr<Arena> first = Arena::Create("first", 1024), second = Arena::Create("second", 2048);
  ASSERT_TRUE(first.ok() && second.ok());
  *first->Take("a", DType::kF32, {1}).data<float>() = 7;
  Arena moved = *std::move(first);
  EXPECT_EQ(*static_cast<float*>(moved.At(0, 4)), 7);
  moved = *std::move(second);
  EXPECT_EQ(moved.bytes(), 2048);
  EXPECT_EQ(moved.used(), 0);
}

TEST(ArenaTest, TooMuchMemoryIsAnErrorNotACrash) {
  const absl::StatusOr<Arena> arena = Arena::Create("everything", int64_t{1} << 60);
  EXPECT_EQ(arena.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(arena.status().message().find("everything"), absl::string_view::npos);
}

TEST(ArenaDeathTest, RunningPastTheEnd) {
  absl::StatusOr<Arena> arena = Arena::Create("small", 512);
  ASSERT_TRUE(arena.ok());
  arena->Take("a", DType::kF32, {64});
  EXPECT_DEATH(arena->Take("b", DType::kF32, {65}), "no room for b");
  EXPECT_DEATH(arena->At(511, 2), "outside");
}

}  // namespace
}  // namespace ingot
