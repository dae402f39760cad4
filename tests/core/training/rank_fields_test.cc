#include "core/training/rank_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace ingot {
namespace {

std::map<std::string, std::string> AsMap(const std::vector<ComparedField>& fields) {
  std::map<std::string, std::string> map;
  for (const ComparedField& field : fields) map[field.name] = field.value;
  return map;
}

TEST(RankFields, EveryFieldOfTheConfigurationButPaths) {
  RunConfig config;
  config.mutable_model()->set_layers(3);
  config.mutable_data()->set_path("/here");
  config.mutable_data()->add_source()->set_path("/there");
  config.mutable_data()->add_source()->set_weight(0.25);
  config.mutable_data()->add_stage()->add_weight(0.5);
  const auto fields = AsMap(ConfigFields(config));
  EXPECT_EQ(fields.at("model.layers"), "3");
  EXPECT_EQ(fields.at("optimizer.learning_rate"), "0.001");
  EXPECT_EQ(fields.at("data.source[1].weight"), "0.25");
  EXPECT_EQ(fields.at("data.stage[0].weight[0]"), "0.5");
  EXPECT_EQ(fields.at("data.source (number)"), "2");
  EXPECT_EQ(fields.count("data.path") + fields.count("data.source[0].path"), 0u);
}

TEST(RankFields, WhereARunGoesOn) {
  const auto nowhere = ResumeFields(std::nullopt);
  ASSERT_TRUE(nowhere.ok());
  EXPECT_EQ(nowhere->at(0).value, "the beginning (no checkpoint)");
  EXPECT_FALSE(ResumeFields("/no/such/step-00000001").ok());
}

}  // namespace
}  // namespace ingot
