#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

// Errors as values. Every function that can fail because of input, users or the system returns Result<T> (a T or an
// Error) or Status (nothing or an Error). Exceptions do not cross folder boundaries.
namespace entrofs {

enum class ErrorCode {
  kInvalidArgument,  // the caller's request makes no sense (command line, option values)
  kNotFound,
  kAlreadyExists,
  kCorrupt,      // bytes do not mean what their format says, or fail their checksum
  kUnsupported,  // well-formed, but a version or feature this build does not know
  kIo,           // the system refused: message ends with strerror
  kNoMemory,
  kCancelled,  // interrupted by the user
};

// Message form: "<object>: <what>", one line. A caller that knows more puts its own object in front (WithContext).
struct Error {
  ErrorCode code;
  std::string message;

  Error WithContext(std::string_view object) && { return Error{code, std::string(object) + ": " + std::move(message)}; }
};

// A value or an Error; shaped like std::expected<T, Error>.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Requires: ok().
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T& value() {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    assert(ok());
    return *std::get_if<0>(&state_);
  }

  // Requires: !ok().
  Error& error() {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  const Error& error() const {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }

  // Requires: !ok().
  Error& error() {
    assert(!ok());
    return *error_;
  }
  const Error& error() const {
    assert(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;
inline Status OkStatus() { return {}; }

}  // namespace entrofs

#define ENTROFS_CONCAT_INNER(a, b) a##b
#define ENTROFS_CONCAT(a, b) ENTROFS_CONCAT_INNER(a, b)

// Returns the error of `expression` (a Result or Status) from the enclosing function.
#define ENTROFS_RETURN_IF_ERROR(expression)                       \
  do {                                                            \
    if (auto entrofs_status = (expression); !entrofs_status)      \
      return ::entrofs::Error{std::move(entrofs_status.error())}; \
  } while (false)

// `declaration` = the value of `expression`, or returns its error: ENTROFS_ASSIGN_OR_RETURN(Footer f, ReadFooter(x));
#define ENTROFS_ASSIGN_OR_RETURN(declaration, expression) \
  ENTROFS_ASSIGN_OR_RETURN_IMPL(ENTROFS_CONCAT(entrofs_result_, __LINE__), declaration, expression)
#define ENTROFS_ASSIGN_OR_RETURN_IMPL(result, declaration, expression) \
  auto result = (expression);                                          \
  if (!result) return ::entrofs::Error{std::move(result.error())};     \
  declaration = std::move(*result)
