#include "fs/decoded_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

namespace entrofs::fs {
namespace {

using std::chrono::milliseconds;
constexpr uint64_t kSize = DecodedFiles::kLeastFileBytes + 5;
constexpr size_t kSmallFile = 3;
constexpr size_t kPiece = 100'000;
constexpr milliseconds kLong(3'600'000);
constexpr uint64_t kRoom = kSize + kSize / 8 + DecodedFiles::kSpareBytes;  // for one

// The rest of the program: files 0, 1 and 2 of kSize, and one that is too small.
class World {
 public:
  DecodedFiles::Actions Actions() {
    DecodedFiles::Actions actions;
    actions.size_of = [](size_t file) { return file == kSmallFile ? DecodedFiles::kLeastFileBytes - 1 : kSize; };
    actions.decode = [this](size_t file, MutableByteSpan plain, const DecodedFiles::GoesOn& goes_on) {
      return Decode(file, plain, goes_on);
    };
    actions.new_memory = [this]() -> Result<FileDescriptor> {
      if (has_no_memory_files_) return Error{ErrorCode::kIo, "no more files"};
      // A lease, by which users are told from none, works on files that were opened, so not on those of memfd_create.
      return FileDescriptor(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    };
    actions.add_backing = [this](int fd) { return AddBacking(fd); };
    actions.remove_backing = [this](uint32_t backing) {
      std::lock_guard lock(mutex_);
      EXPECT_EQ(backings_.erase(backing), 1u);
    };
    actions.available_bytes = [this] { return std::optional<uint64_t>(available_bytes_); };
    actions.memory_is_short = [this] { return memory_is_short_.load(); };
    return actions;
  }

  // Makes decoding wait until Go.
  void Hold() { is_held_ = true; }
  void Go() { is_held_ = false; }

  // The kernel's own descriptor of a backing; none when there is no such backing.
  FileDescriptor OpenBacking(uint32_t backing) {
    std::lock_guard lock(mutex_);
    auto place = backings_.find(backing);
    if (place == backings_.end()) return {};
    return FileDescriptor(::open(("/proc/self/fd/" + std::to_string(place->second)).c_str(), O_RDONLY | O_CLOEXEC));
  }
  size_t backing_count() {
    std::lock_guard lock(mutex_);
    return backings_.size();
  }

  std::atomic<uint64_t> available_bytes_{uint64_t{1} << 40};
  std::atomic<bool> others_take_memory_{false};  // once decoding has begun
  std::atomic<bool> memory_is_short_{false};
  std::atomic<ErrorCode> decoding_error_{ErrorCode::kCancelled};  // none
  std::atomic<bool> has_no_memory_files_{false};
  std::atomic<size_t> decodes_{0};  // begun

 private:
  Status Decode(size_t file, MutableByteSpan plain, const DecodedFiles::GoesOn& goes_on) {
    ++decodes_;
    while (is_held_) {
      ENTROFS_RETURN_IF_ERROR(goes_on(0));
      ::usleep(500);
    }
    if (decoding_error_ != ErrorCode::kCancelled) return Error{decoding_error_, "a failure"};
    for (uint64_t done = 0; done < plain.size();) {
      MutableByteSpan piece = plain.subspan(done, std::min<size_t>(kPiece, plain.size() - done));
      std::fill(piece.begin(), piece.end(), static_cast<uint8_t>('a' + file));
      done += piece.size();
      if (others_take_memory_) available_bytes_ = kRoom - kSize - 1;
      ENTROFS_RETURN_IF_ERROR(goes_on(piece.size()));
    }
    return OkStatus();
  }

  Result<uint32_t> AddBacking(int fd) {
    std::lock_guard lock(mutex_);
    backings_[next_backing_] = fd;
    return next_backing_++;
  }

  std::atomic<bool> is_held_{false};
  std::mutex mutex_;
  std::map<uint32_t, int> backings_;
  uint32_t next_backing_ = 1;
};

// One open: what it was answered.
class Opened {
 public:
  explicit Opened(DecodedFiles& files, size_t file, bool is_interrupted = false) {
    files.Open(
        file,
        [state = state_](std::optional<uint32_t> backing) {
          std::lock_guard lock(state->mutex);
          EXPECT_FALSE(state->is_answered);
          state->backing = backing;
          state->is_answered = true;
          state->changed.notify_all();
        },
        [is_interrupted] { return is_interrupted; });
  }

  bool IsAnswered() const {
    std::lock_guard lock(state_->mutex);
    return state_->is_answered;
  }
  // Waits for the answer.
  std::optional<uint32_t> Backing() const {
    std::unique_lock lock(state_->mutex);
    EXPECT_TRUE(state_->changed.wait_for(lock, std::chrono::seconds(30), [&] { return state_->is_answered; }));
    return state_->backing;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_answered = false;
    std::optional<uint32_t> backing;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

class DecodedFilesTest : public testing::Test {
 protected:
  void Make(milliseconds kept_unused = kLong, uint64_t least_bytes_that_wait = 0) {
    files_ = std::make_unique<DecodedFiles>(4, world_.Actions(), Options(kept_unused, least_bytes_that_wait));
  }
  static DecodedFiles::Options Options(milliseconds kept_unused, uint64_t least_bytes_that_wait = 0) {
    return {kept_unused, std::max(least_bytes_that_wait, kSize), kPiece};
  }
  bool Soon(const std::function<bool()>& condition) {
    for (int i = 0; i < 6000 && !condition(); ++i) ::usleep(5000);
    return condition();
  }

  World world_;
  std::unique_ptr<DecodedFiles> files_;
};

TEST_F(DecodedFilesTest, AnOpenWaitsForTheFileAndGetsItsBytes) {
  Make();
  world_.Hold();
  Opened first(*files_, 1), second(*files_, 1);
  ::usleep(20'000);
  EXPECT_FALSE(first.IsAnswered());
  world_.Go();
  ASSERT_TRUE(first.Backing());
  EXPECT_EQ(first.Backing(), second.Backing());
  Opened third(*files_, 1);
  EXPECT_TRUE(third.IsAnswered());
  EXPECT_EQ(third.Backing(), first.Backing());
  EXPECT_EQ(world_.decodes_, 1u);
  EXPECT_EQ(files_->bytes(), kSize);
  FileDescriptor seen = world_.OpenBacking(*first.Backing());
  std::string bytes(kSize + 1, '\0');
  EXPECT_EQ(::read(seen.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(kSize));
  EXPECT_EQ(bytes.substr(0, kSize), std::string(kSize, 'b'));
}

TEST_F(DecodedFilesTest, SmallFilesAreLeftToReads) {
  Make();
  EXPECT_EQ(Opened(*files_, kSmallFile).Backing(), std::nullopt);
  EXPECT_EQ(world_.decodes_, 0u);
}

TEST_F(DecodedFilesTest, WhatDoesNotFitIsLeftToReads) {
  Make();
  world_.available_bytes_ = kRoom - 1;
  EXPECT_EQ(Opened(*files_, 0).Backing(), std::nullopt);
  world_.available_bytes_ = kRoom;
  EXPECT_EQ(Opened(*files_, 0).Backing(), std::nullopt) << "as those who have it open";
  world_.Hold();
  Opened fits(*files_, 1);
  EXPECT_EQ(Opened(*files_, 2).Backing(), std::nullopt) << "promised to the other";
  world_.Go();
  EXPECT_TRUE(fits.Backing());
}

TEST_F(DecodedFilesTest, NothingIsDecodedWhileMemoryIsShort) {
  Make();
  world_.memory_is_short_ = true;
  EXPECT_EQ(Opened(*files_, 0).Backing(), std::nullopt);
}

TEST_F(DecodedFilesTest, AClosedFileIsDecidedAnew) {
  Make();
  world_.available_bytes_ = 0;
  EXPECT_EQ(Opened(*files_, 0).Backing(), std::nullopt);
  world_.available_bytes_ = kRoom;
  EXPECT_EQ(Opened(*files_, 0).Backing(), std::nullopt);
  files_->Close(0);
  files_->Close(0);
  EXPECT_TRUE(Opened(*files_, 0).Backing());
}

TEST_F(DecodedFilesTest, WhatCannotBeDecodedIsLeftToReads) {
  Make();
  world_.decoding_error_ = ErrorCode::kIo;
  EXPECT_EQ(Opened(*files_, 0).Backing(), std::nullopt);
  EXPECT_EQ(files_->bytes(), 0u);
  files_->Close(0);
  world_.decoding_error_ = ErrorCode::kCancelled;
  EXPECT_TRUE(Opened(*files_, 0).Backing());
  world_.has_no_memory_files_ = true;
  EXPECT_EQ(Opened(*files_, 1).Backing(), std::nullopt);
}

TEST_F(DecodedFilesTest, WhatIsCorruptIsNotTriedAgain) {
  Make();
  world_.decoding_error_ = ErrorCode::kCorrupt;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Opened(*files_, 0).Backing(), std::nullopt);
    files_->Close(0);
  }
  EXPECT_EQ(world_.decodes_, 1u);
}

TEST_F(DecodedFilesTest, ADecodeEndsWhenOthersHaveTakenItsMemory) {
  Make();
  world_.others_take_memory_ = true;
  EXPECT_EQ(Opened(*files_, 0).Backing(), std::nullopt);
  files_->Close(0);
  world_.others_take_memory_ = false;
  world_.available_bytes_ = kRoom;
  EXPECT_TRUE(Opened(*files_, 0).Backing()) << "nothing of the promise is left over";
}

TEST_F(DecodedFilesTest, SmallFilesDoNotWaitForOthers) {
  Make(kLong, kSize + 1);
  world_.Hold();
  Opened large(*files_, 0);
  Opened small(*files_, 1);
  EXPECT_TRUE(small.IsAnswered());
  EXPECT_EQ(small.Backing(), std::nullopt);
  world_.Go();
  EXPECT_TRUE(large.Backing());
  files_->Close(1);
  EXPECT_TRUE(Opened(*files_, 1).Backing()) << "nothing else is being decoded now";
}

TEST_F(DecodedFilesTest, AFileOpenedAgainWhileItIsGivenUpIsDecoded) {
  Make();
  world_.Hold();
  Opened first(*files_, 0);
  EXPECT_TRUE(Soon([&] { return world_.decodes_ == 1; }));
  files_->DontWait(0);
  files_->Close(0);
  Opened second(*files_, 0);
  world_.Go();
  EXPECT_TRUE(second.Backing());
  EXPECT_EQ(files_->bytes(), kSize);
}

TEST_F(DecodedFilesTest, WhatIsUnusedIsKeptWhenItWouldNotBeEnough) {
  Make();
  ASSERT_TRUE(Opened(*files_, 0).Backing());
  files_->Close(0);
  world_.available_bytes_ = 0;
  EXPECT_EQ(Opened(*files_, 1).Backing(), std::nullopt);
  EXPECT_EQ(files_->bytes(), kSize);
}

TEST_F(DecodedFilesTest, AnInterruptAnswersAllWhoWait) {
  Make();
  world_.Hold();
  Opened first(*files_, 0), second(*files_, 0), other(*files_, 1), third(*files_, 1);
  EXPECT_TRUE(Soon([&] { return world_.decodes_ == 1; }));
  files_->DontWait(1);  // has not begun yet
  EXPECT_TRUE(other.IsAnswered());
  EXPECT_EQ(other.Backing(), std::nullopt);
  EXPECT_EQ(third.Backing(), std::nullopt);
  files_->DontWait(0);
  EXPECT_EQ(first.Backing(), std::nullopt);
  EXPECT_EQ(second.Backing(), std::nullopt);
  EXPECT_EQ(Opened(*files_, 0).Backing(), std::nullopt) << "as those who have it open";
  world_.Go();
  for (int i = 0; i < 3; ++i) files_->Close(0);
  EXPECT_TRUE(Soon([&] {
    const bool decoded = Opened(*files_, 0).Backing().has_value();
    files_->Close(0);
    return decoded;
  }));
  EXPECT_EQ(files_->bytes(), kSize);
}

TEST_F(DecodedFilesTest, WhoWasInterruptedBeforeDoesNotWait) {
  Make();
  world_.Hold();
  Opened interrupted(*files_, 0, true);
  EXPECT_TRUE(interrupted.IsAnswered());
  EXPECT_EQ(interrupted.Backing(), std::nullopt);
}

TEST_F(DecodedFilesTest, UnusedMemoryIsGivenBackAfterAWhile) {
  Make(milliseconds(40));
  const std::optional<uint32_t> backing = Opened(*files_, 0).Backing();
  ASSERT_TRUE(backing);
  ::usleep(200'000);
  EXPECT_EQ(files_->bytes(), kSize) << "it is open";
  files_->Close(0);
  EXPECT_TRUE(Soon([&] { return files_->bytes() == 0; }));
  EXPECT_EQ(world_.backing_count(), 0u);
  EXPECT_TRUE(Opened(*files_, 0).Backing());
  EXPECT_EQ(world_.decodes_, 2u);
}

TEST_F(DecodedFilesTest, WhatIsStillMappedIsKept) {
  Make(milliseconds(40));
  const std::optional<uint32_t> backing = Opened(*files_, 0).Backing();
  ASSERT_TRUE(backing);
  void* mapping = MAP_FAILED;
  {
    FileDescriptor file = world_.OpenBacking(*backing);
    mapping = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, file.get(), 0);
  }
  ASSERT_NE(mapping, MAP_FAILED);
  files_->Close(0);
  ::usleep(300'000);
  EXPECT_EQ(files_->bytes(), kSize);
  EXPECT_EQ(Opened(*files_, 0).Backing(), backing) << "not a second time";
  files_->Close(0);
  ::munmap(mapping, kSize);
  EXPECT_TRUE(Soon([&] { return files_->bytes() == 0; }));
}

TEST_F(DecodedFilesTest, ShortMemoryTakesWhatIsUnusedAtOnce) {
  Make();
  ASSERT_TRUE(Opened(*files_, 0).Backing());
  ASSERT_TRUE(Opened(*files_, 1).Backing());
  files_->Close(1);
  world_.memory_is_short_ = true;
  EXPECT_TRUE(Soon([&] { return files_->bytes() == kSize; }));
  EXPECT_EQ(world_.backing_count(), 1u);
}

TEST_F(DecodedFilesTest, AFileThatDoesNotFitTakesThePlaceOfAnUnusedOne) {
  DecodedFiles::Actions actions = world_.Actions();
  actions.available_bytes = [this] { return std::optional<uint64_t>(kRoom - kSize * world_.backing_count()); };
  files_ = std::make_unique<DecodedFiles>(4, actions, Options(kLong));
  ASSERT_TRUE(Opened(*files_, 1).Backing());
  EXPECT_EQ(Opened(*files_, 2).Backing(), std::nullopt) << "the other is in use";
  files_->Close(2);
  files_->Close(1);
  EXPECT_TRUE(Opened(*files_, 2).Backing());
  EXPECT_EQ(files_->bytes(), kSize);
}

TEST_F(DecodedFilesTest, TheEndAnswersThoseWhoWait) {
  Make();
  world_.Hold();
  Opened first(*files_, 0), queued(*files_, 1);
  files_.reset();
  EXPECT_TRUE(first.IsAnswered());
  EXPECT_TRUE(queued.IsAnswered());
  EXPECT_EQ(queued.Backing(), std::nullopt);
  EXPECT_EQ(world_.backing_count(), 0u);
}

TEST_F(DecodedFilesTest, ManyWhoOpenCloseAndInterruptAgree) {
  Make(milliseconds(4));
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (int i = 0; i < 300; ++i) {
        const size_t file = random() % 3;
        Opened opened(*files_, file, random() % 16 == 0);
        if (random() % 8 == 0) files_->DontWait(file);
        if (std::optional<uint32_t> backing = opened.Backing()) {
          FileDescriptor seen = world_.OpenBacking(*backing);
          uint8_t byte = 0;
          EXPECT_EQ(::pread(seen.get(), &byte, 1, kSize - 1), 1);
          EXPECT_EQ(byte, 'a' + file);
        }
        if (random() % 4 == 0) ::usleep(random() % 3000);
        files_->Close(file);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(Soon([&] { return files_->bytes() == 0; }));
  EXPECT_EQ(world_.backing_count(), 0u);
}

}  // namespace
}  // namespace entrofs::fs
