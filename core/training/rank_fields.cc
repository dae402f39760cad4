#include "core/training/rank_fields.h"

#include <elf.h>
#include <google/protobuf/text_format.h>
#include <link.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/training/manifest.h"
#include "distributed/sha256.h"

namespace ingot {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr uint64_t kMaxTokenizerBytes = uint64_t{1} << 30, kMaxManifestBytes = 100'000'000;

std::string Digest(absl::string_view bytes) { return absl::BytesToHexString(Sha256Of(bytes)).substr(0, 16); }

void AppendFields(const Message& message, const std::string& prefix, std::vector<ComparedField>& fields) {
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const std::string name = prefix + field->name();
    const bool nested = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    if (field->is_repeated()) fields.push_back({name + " (number)", absl::StrCat(count)});
    for (int n = 0; n < count && field->name() != "path"; ++n) {
      const std::string at = field->is_repeated() ? absl::StrCat(name, "[", n, "]") : name;
      if (nested) {
        AppendFields(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, n)
                                          : reflection->GetMessage(message, field),
                     at + ".", fields);
        continue;
      }
      std::string value;
      google::protobuf::TextFormat::PrintFieldValueToString(message, field, field->is_repeated() ? n : -1, &value);
      fields.push_back({at, value});
    }
  }
}

// The linker's build id of this program; empty where it left none.
std::string BuildId() {
  std::string id;
  const auto look = [](dl_phdr_info* program, size_t, void* result) {
    for (int i = 0; i < program->dlpi_phnum; ++i) {
      const auto& header = program->dlpi_phdr[i];
      if (header.p_type != PT_NOTE) continue;
      const char* at = reinterpret_cast<const char*>(program->dlpi_addr + header.p_vaddr);
      const char* const end = at + header.p_memsz;
      while (at + sizeof(ElfW(Nhdr)) <= end) {
        const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
        const char* const value = at + sizeof(*note) + (note->n_namesz + 3) / 4 * 4;
        if (note->n_type == NT_GNU_BUILD_ID) {
          *static_cast<std::string*>(result) = absl::BytesToHexString({value, note->n_descsz});
        }
        at = value + (note->n_descsz + 3) / 4 * 4;
      }
    }
    return 1;  // the program itself comes first, its libraries do not count
  };
  dl_iterate_phdr(look, &id);
  return id;
}

std::string TableText(const ParameterTable& table) {
  std::string text;
  for (const ParameterSpec& spec : table.specs) {
    absl::StrAppend(&text, spec.name, " ", spec.offset);
    for (const int64_t size : spec.shape) absl::StrAppend(&text, " ", size);
    absl::StrAppend(&text, "\n");
  }
  return text;
}

}  // namespace

std::vector<ComparedField> ConfigFields(const RunConfig& config) {
  std::vector<ComparedField> fields;
  AppendFields(Resolved(config), "", fields);
  return fields;
}

absl::StatusOr<std::vector<ComparedField>> EnvironmentFields(const TrainingData& data, const ParameterTable& table,
                                                             const std::string& environment) {
  const std::string path = JoinPath(data.first().tokenizer_directory(), "tokenizer.json");
  INGOT_ASSIGN_OR_RETURN(const std::string tokenizer, ReadFile(path, kMaxTokenizerBytes));
  return std::vector<ComparedField>{
      {"dataset (fingerprint)", absl::StrCat(absl::Hex(data.fingerprint, absl::kZeroPad16))},
      {"tokenizer (digest of tokenizer.json)", Digest(tokenizer)},
      {"parameters", absl::StrCat(table.parameters, ", digest of the table ", Digest(TableText(table)))},
      {"program (build id)", BuildId()},
      {"device and libraries", environment}};
}

absl::StatusOr<std::vector<ComparedField>> ResumeFields(const std::optional<std::string>& checkpoint) {
  std::string value = "the beginning (no checkpoint)";
  if (checkpoint.has_value()) {
    INGOT_ASSIGN_OR_RETURN(const std::string manifest,
                           ReadFile(JoinPath(*checkpoint, kManifestName), kMaxManifestBytes));
    value = absl::StrCat(BaseName(*checkpoint), ", digest of its manifest ", Digest(manifest));
  }
  return std::vector<ComparedField>{{"resume from", value}};
}

}  // namespace ingot
