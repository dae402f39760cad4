#include "data_pipeline/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data_pipeline/read_documents.h"
#include "tests/data_pipeline/test_files.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Documents, WholeTextFileByteForByte) {
  const TestDirectory dir;
  const std::string text = "\xEF\xBB\xBF line\r\n\r\n\n end\n";
  const Read read = ReadDocuments({dir.Write("a.txt", text)});
  EXPECT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.texts, ElementsAre(text));
  EXPECT_EQ(read.counts.text_bytes, static_cast<int64_t>(text.size()));
}

TEST(Documents, BlankLinesSeparate) {
  const TestDirectory dir;
  const Read read = ReadDocuments({dir.Write("a.txt", "\n\none\ntwo\n\n\r\n\nthree\r\nfour\r\n\r\nfive")},
                                  {.blank_line_documents = true});
  EXPECT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.texts, ElementsAre("one\ntwo", "three\r\nfour", "five"));
}

TEST(Documents, JsonLines) {
  const TestDirectory dir;
  const std::string lines =
      "\xEF\xBB\xBF{\"text\": \"a\\nb \\ud83d\\ude00\"}\r\n\n  \n{\"id\": [1, {\"text\": 2}], \"text\": \"\"}\n"
      "{\"text\":\"last\\u0000\"}";
  const Read read = ReadDocuments({dir.Write("a.jsonl", lines)});
  EXPECT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.texts, ElementsAre("a\nb \xF0\x9F\x98\x80", std::string("last\0", 5)));
  EXPECT_EQ(read.counts.empty_documents, 1);
}

TEST(Documents, FieldIsSelectable) {
  const TestDirectory dir;
  const Read read = ReadDocuments({dir.Write("a.jsonl", "{\"body\": \"b\", \"text\": 1}\n")}, {.text_field = "body"});
  EXPECT_THAT(read.texts, ElementsAre("b"));
}

TEST(Documents, BadLinesAreNamedOrCounted) {
  const TestDirectory dir;
  const std::string good = "{\"text\": \"good\"}\n";
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"{\"text\": \"cut", "not a JSON value"},
      {"{\"text\": \"a\"} x", "not a JSON value"},
      {"{\"text\": \"a\", \"b\": tru}", "not a JSON value"},
      {"{\"text\": \"\\ud83d\"}", "not a JSON value"},
      {"{\"text\": \"\xC0\x80\"}", "not a JSON value"},
      {"{\"text\": \"\xED\xA0\x80\"}", "not a JSON value"},
      {"[\"text\"]", "found an array"},
      {"7", "found a number"},
      {"{}", "found no field"},
      {"{\"body\": \"x\", \"id\": 3}", "found \"body\", \"id\""},
      {"{\"text\": 3}", "its value is a number"},
      {"{\"text\": null}", "its value is null"}};
  for (const auto& [line, reason] : bad) {
    const std::string path = dir.Write("a.jsonl", good + line + "\n" + good);
    const Read strict = ReadDocuments({path});
    EXPECT_THAT(Message(strict), HasSubstr(path + ":2: expected a JSON object with the string field \"text\"")) << line;
    EXPECT_THAT(Message(strict), HasSubstr(reason)) << line;
    const Read skipping = ReadDocuments({path}, {.skip_bad_lines = true});
    EXPECT_THAT(skipping.texts, ElementsAre("good", "good")) << line;
    EXPECT_EQ(skipping.counts.bad_lines, 1) << line;
  }
}

TEST(Documents, InvalidUtf8InPlainTextIsTakenAndCounted) {
  const TestDirectory dir;
  const std::string text = "caf\xE9 \xED\xA0\x80";
  const Read read = ReadDocuments({dir.Write("a.txt", text), dir.Write("b.txt", "caf\xC3\xA9")});
  EXPECT_THAT(read.texts, ElementsAre(text, "caf\xC3\xA9"));
  EXPECT_EQ(read.counts.invalid_utf8_documents, 1);
}

TEST(Documents, DirectoriesAreReadInPathOrder) {
  const TestDirectory dir;
  dir.Write("c/b.txt", "2");
  dir.Write("c/a.jsonl", "{\"text\": \"1\"}\n");
  dir.Write("d.txt.zst", Zstd("3"));
  dir.Write("e/f/g.jsonl.gz", Gzip("{\"text\": \"4\"}\n"));
  dir.Write("e/.hidden/x.txt", "hidden");
  dir.Write("readme.md", "other");
  const Read read = ReadDocuments({dir.path()});
  EXPECT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.texts, ElementsAre("1", "2", "3", "4"));
  EXPECT_EQ(read.counts.files, 4);
  EXPECT_EQ(read.counts.ignored_files, 1);
}

std::string ManyLines() {
  std::string lines;
  for (int i = 0; i < 60000; ++i) lines += "{\"text\": \"line " + std::to_string(i * 7919) + "\"}\n";
  return lines;
}

TEST(Documents, ConcatenatedMembersAndFrames) {
  const TestDirectory dir;
  const std::string lines = ManyLines();  // over every internal buffer
  const std::string cut[] = {lines.substr(0, 1000003), lines.substr(1000003, 13), "", lines.substr(1000016)};
  std::string gz, zst;
  for (const std::string& part : cut) {
    gz += Gzip(part);
    zst += Zstd(part);
  }
  const Read plain = ReadDocuments({dir.Write("a.jsonl", lines)});
  EXPECT_EQ(plain.texts.size(), 60000u);
  for (const std::string& path : {dir.Write("a.jsonl.gz", gz), dir.Write("a.jsonl.zst", zst)}) {
    const Read read = ReadDocuments({path});
    EXPECT_TRUE(read.status.ok()) << read.status;
    EXPECT_EQ(read.texts, plain.texts) << path;
    EXPECT_EQ(read.counts, plain.counts) << path;
  }
}

// Every truncation and every flipped byte is either an error that names the file or leaves the text as it was.
TEST(Documents, DamagedCompressedFiles) {
  const TestDirectory dir;
  const std::string text = "It was the best of times, it was the worst of times. It was the age of wisdom.";
  for (const auto& [name, bytes] : {std::pair{std::string("a.txt.gz"), Gzip(text)}, {"a.txt.zst", Zstd(text)}}) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      const Read read = ReadDocuments({dir.Write(name, bytes.substr(0, size))});
      EXPECT_THAT(Message(read), HasSubstr(name)) << size;
    }
    for (size_t at = 0; at < bytes.size(); ++at) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
      const Read read = ReadDocuments({dir.Write(name, flipped)});
      if (read.status.ok()) {
        EXPECT_THAT(read.texts, ElementsAre(text)) << at;
      } else {
        EXPECT_THAT(Message(read), HasSubstr(name)) << at;
      }
    }
    const Read trailing = ReadDocuments({dir.Write(name, bytes + "garbage")});
    EXPECT_THAT(Message(trailing), HasSubstr("not valid")) << name;
  }
}

TEST(Documents, InputWithoutTextIsAnError) {
  const TestDirectory dir;
  const std::string empty = dir.Write("empty.txt", "");
  EXPECT_THAT(Message(ReadDocuments({})), HasSubstr("no input"));
  EXPECT_THAT(Message(ReadDocuments({dir / "none.txt"})), HasSubstr("none.txt: no such file"));
  EXPECT_THAT(Message(ReadDocuments({empty})), HasSubstr("no text in the input"));
  EXPECT_THAT(Message(ReadDocuments({dir.Write("a.pdf", "x")})), HasSubstr("a.pdf: cannot tell the format"));
  EXPECT_THAT(Message(ReadDocuments({dir.Write("sub/a.md", "x"), dir / "sub"})), HasSubstr("a.md: cannot tell"));
  EXPECT_THAT(Message(ReadDocuments({dir / "sub"})), HasSubstr("no documents in this directory"));
}

TEST(Documents, DocumentsOverTheBoundAreRefused) {
  const TestDirectory dir;
  const std::string text(100000, 'x');
  const Read whole = ReadDocuments({dir.Write("a.txt", text)}, {.max_document_bytes = 99999});
  EXPECT_THAT(Message(whole), HasSubstr("--documents blank-line"));
  EXPECT_TRUE(ReadDocuments({dir.Write("a.txt", text)}, {.max_document_bytes = 100000}).status.ok());
  const DocumentOptions blank_line = {.blank_line_documents = true, .max_document_bytes = 99999};
  EXPECT_THAT(Message(ReadDocuments({dir.Write("a.txt", "x\n" + text)}, blank_line)), HasSubstr("a.txt"));
  const std::string lines(3 << 20, ' ');
  EXPECT_THAT(Message(ReadDocuments({dir.Write("a.jsonl", "\n" + lines)}, {.max_document_bytes = 99999})),
              HasSubstr("a.jsonl:2: the line has more than 99999 bytes"));
}

}  // namespace
}  // namespace ingot
