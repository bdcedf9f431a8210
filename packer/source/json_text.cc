#include "packer/source/json_text.h"

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace entrofs::packer::source {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxNesting = 127;

// Brackets that are open at once, those in strings left out. Right for valid JSON, which is all that matters.
size_t DeepestNesting(std::string_view text) {
  size_t depth = 0;
  size_t deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

// Builds a value from the JSON's events. nlohmann's own way of building an ordered object looks every new key up among
// all those before, which takes minutes for the hundred thousand tensors of a large index.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Json Take() && { return std::move(root_); }

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t& value) override { return Add(std::move(value)); }

  bool start_object(size_t) override { return Open(Json::object()); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& key) override {
    open_.back().key = std::move(key);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  struct Container {
    Json value;
    std::string key;                                 // of the member that follows
    std::unordered_map<std::string, size_t> places;  // of an object's keys
  };

  bool Open(Json empty) {
    open_.push_back({std::move(empty), {}, {}});
    return true;
  }

  bool Close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return Add(std::move(value));
  }

  bool Add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().value.is_array()) {
      open_.back().value.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      AddMember(open_.back(), std::move(value));
    }
    return true;
  }

  // Of members of one name the last counts, at the place of the first.
  static void AddMember(Container& object, Json value) {
    auto& members = object.value.get_ref<Json::object_t&>();
    const auto [known, is_new] = object.places.try_emplace(object.key, members.size());
    if (is_new) {
      members.push_back({object.key, std::move(value)});
    } else {
      (members.begin() + static_cast<ptrdiff_t>(known->second))->second = std::move(value);
    }
  }

  Json root_;
  std::vector<Container> open_;
};

}  // namespace

Result<nlohmann::ordered_json> ParseJsonText(std::string_view text) {
  if (DeepestNesting(text) > kMaxNesting) {
    return Error{ErrorCode::kInvalidArgument, "nests more than " + std::to_string(kMaxNesting) + " levels deep"};
  }
  // The parser would take a NUL for the end of the text.
  if (text.find('\0') != std::string_view::npos) return Error{ErrorCode::kInvalidArgument, "not a JSON object"};
  Builder builder;
  if (!Json::sax_parse(text, &builder)) return Error{ErrorCode::kInvalidArgument, "not a JSON object"};
  return std::move(builder).Take();
}

}  // namespace entrofs::packer::source
