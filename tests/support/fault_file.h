#pragma once

#include <atomic>
#include <memory>

#include "base/file.h"

// Files whose operations fail when a test wants it.
namespace entrofs::testing_support {

// Which operation fails: the first (0), second ... of all files of one plan; then that one alone, or all later ones
// too. Thread-safe.
class FaultPlan {
 public:
  static constexpr uint64_t kNever = UINT64_MAX;

  void FailAt(uint64_t operation, Error error, bool forever = false) {
    count_ = 0;
    error_ = std::move(error);
    forever_ = forever;
    fail_at_ = operation;
  }
  void Heal() { fail_at_ = kNever; }
  uint64_t operation_count() const { return count_; }
  bool has_failed() const { return count_ > fail_at_; }

  Status Step() {
    uint64_t number = count_++;
    bool fails = number == fail_at_ || (forever_ && number > fail_at_);
    return fails ? Status(error_) : OkStatus();
  }

 private:
  std::atomic<uint64_t> count_{0};
  std::atomic<uint64_t> fail_at_{kNever};
  Error error_{ErrorCode::kIo, "injected"};
  bool forever_ = false;
};

// Counts and fails ReadAt of the file behind it.
class FaultReadFile : public RandomAccessFile {
 public:
  // `plan` must outlive the file.
  FaultReadFile(std::unique_ptr<RandomAccessFile> file, FaultPlan* plan) : file_(std::move(file)), plan_(plan) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    ENTROFS_RETURN_IF_ERROR(plan_->Step());
    return file_->ReadAt(offset, out);
  }
  uint64_t size() const override { return file_->size(); }

 private:
  const std::unique_ptr<RandomAccessFile> file_;
  FaultPlan* const plan_;
};

// Counts and fails Append, Flush and Commit of the file behind it. Nothing reaches that file of a failed operation.
class FaultNewFile : public NewFile {
 public:
  // `plan` must outlive the file.
  FaultNewFile(std::unique_ptr<NewFile> file, FaultPlan* plan) : file_(std::move(file)), plan_(plan) {}

  Status Append(ByteSpan bytes) override {
    ENTROFS_RETURN_IF_ERROR(plan_->Step());
    return file_->Append(bytes);
  }
  uint64_t size() const override { return file_->size(); }
  Status Commit() override {
    ENTROFS_RETURN_IF_ERROR(plan_->Step());
    return file_->Commit();
  }
  const std::string& temporary_path() const override { return file_->temporary_path(); }
  Status Flush() override {
    ENTROFS_RETURN_IF_ERROR(plan_->Step());
    return file_->Flush();
  }

 private:
  const std::unique_ptr<NewFile> file_;
  FaultPlan* const plan_;
};

}  // namespace entrofs::testing_support
