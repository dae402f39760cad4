// Any bytes as tokenizer.json: refused with an error, or a tokenizer that encodes and comes back from its own file.
#include <algorithm>
#include <cstdint>
#include <memory>

#include "core/base/check.h"
#include "tokenizer/hf_files.h"
#include "tokenizer/model.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<ingot::TokenizerModel> model = ingot::ParseTokenizerJson(text, "input");
  if (!model.ok()) return 0;
  const absl::StatusOr<ingot::TokenizerModel> again =
      ingot::ParseTokenizerJson(ingot::WriteTokenizerJson(*model), "written");
  INGOT_CHECK(again.ok() && again->tokens == model->tokens && again->merges == model->merges,
              "a tokenizer that was read does not come back");
  const ingot::Tokenizer tokenizer(std::make_shared<const ingot::TokenizerModel>(*model));
  std::vector<int32_t> ids;
  ingot::Encoder(tokenizer).Encode(text.substr(0, 4096), ids);
  // NFC changes text, and tokens may swallow the white space beside them.
  const bool changes_text = model->nfc || std::any_of(model->added.begin(), model->added.end(),
                                                      [](const auto& token) { return token.lstrip || token.rstrip; });
  INGOT_CHECK(changes_text || *tokenizer.Decode(ids) == text.substr(0, 4096), "decoding does not give the text back");
  return 0;
}
