// SPDX-License-Identifier: BSL-1.0
// BoardTask: what the process pool's board knows of a task.
// Python:  concurrent.futures.process._WorkItem.
// Differs: it is also the future's shared state (see process_pool.hpp): one allocation.
// Threads: see each field.  Owns: the task's message, later its result's.
#pragma once

#include "futures/detail/stop_answer.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>

namespace mp {
class Deadline;
}

namespace futures::detail {

/// Takes back memory that several processes see.
class MessageArena {
public:
    MessageArena() = default;
    MessageArena(const MessageArena&) = delete;
    MessageArena& operator=(const MessageArena&) = delete;
    virtual ~MessageArena() = default;

    /// `size`: of the message there, which is less than what its block takes.
    virtual void give_back(std::uint64_t offset, std::uint64_t size) noexcept = 0;
    virtual std::byte* memory() const noexcept = 0;
};

/// A message in an arena, given back when this goes.
class Block {
public:
    Block() noexcept = default;

    Block(
        std::shared_ptr<MessageArena> arena, std::uint64_t offset, std::uint64_t size
    ) noexcept
        : arena_(std::move(arena)), offset_(offset), size_(size) {}

    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    Block(Block&& other) noexcept = default;

    Block& operator=(Block&& other) noexcept {
        reset();
        arena_ = std::move(other.arena_);
        offset_ = other.offset_;
        size_ = other.size_;
        return *this;
    }

    ~Block() { reset(); }

    explicit operator bool() const noexcept { return arena_ != nullptr; }

    std::span<std::byte> bytes() const noexcept {
        return {arena_->memory() + offset_, size_};
    }

    /// Ends the message earlier.
    void shorten(std::uint64_t size) noexcept { size_ = size; }

    std::uint64_t offset() const noexcept { return offset_; }

    std::uint64_t size() const noexcept { return size_; }

    void reset() noexcept {
        if (arena_) {
            arena_->give_back(offset_, size_);
            arena_.reset();
        }
    }

private:
    std::shared_ptr<MessageArena> arena_;
    std::uint64_t offset_ = 0;
    std::uint64_t size_ = 0;
};

/// The bytes of a message: here, on the heap, or in an arena.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): inline_ is raw room
class Message {
public:
    static constexpr std::size_t inline_size = 48;

    /// Copies. std::bad_alloc leaves it empty.
    void assign(std::span<const std::byte> bytes);

    void adopt(Block block) noexcept {
        clear();
        block_ = std::move(block);
    }

    void clear() noexcept {
        size_ = 0;
        heap_.reset();
        block_.reset();
    }

    const Block& block() const noexcept { return block_; }

    std::span<const std::byte> bytes() const noexcept {
        if (block_) {
            return block_.bytes();
        }
        return {heap_ ? heap_.get() : inline_.data(), size_};
    }

private:
    std::uint32_t size_ = 0;
    std::array<std::byte, inline_size> inline_;
    std::unique_ptr<std::byte[]> heap_;
    Block block_;
};

/// How a task ended, as far as the board can tell.
enum class TaskEnd : std::uint8_t {
    value,      ///< `message` is what the call wrote
    exception,  ///< `message` is an encoded exception
    stopped,    ///< the same, and the call ended because it was asked to
    cancelled,  ///< while it ran
    failed,     ///< `failure` says why: its worker was lost, its result is unreadable
};

class StateBase;

/// Why a task that runs is being stopped.
enum class TaskStop : std::uint8_t {
    no,
    timeout,    ///< its time is up: what it returns all the same is its result
    cancelled,  ///< by cancel(running): however it ends, its future is cancelled
};

class BoardTask {
public:
    static constexpr std::uint64_t unplaced = ~std::uint64_t{0};

    BoardTask() = default;
    BoardTask(const BoardTask&) = delete;
    BoardTask& operator=(const BoardTask&) = delete;

    /// Tells the future how the task ended: `end`, with `message` or `failure`, is set.
    /// Returns whether callbacks are left to run; if not, the task may be gone.
    virtual bool finish() noexcept = 0;

    /// Runs the callbacks; then the task may be gone. When one ends the thread, the
    /// others are left for another call.
    virtual void finish_callbacks() = 0;

    /// It ends, and is being stopped: `end` may have to say something else. Called
    /// before finish().
    virtual void settle_stop() noexcept {}

    /// Cancels the future of a task that the board took back. Runs callbacks.
    virtual void cancel_future() = 0;

    /// The future is done: finish() was called, or it was cancelled.
    virtual bool is_finished() const noexcept = 0;

    /// It threw, and `message` is what: its call may be needed once more. Under the
    /// board's drain lock.
    virtual void keep_call(Message /*call*/) noexcept {}

    /// It threw, or its time was up and it ended when it was asked to: whether it is to
    /// be run again. Then `message` is its call, and `not_before` says when. Otherwise
    /// `failure` may be what it threw, decoded. Decodes, so no lock is held. In the
    /// manager.
    virtual bool is_to_run_again() noexcept { return false; }

    /// Its future, if it has one of this process.
    virtual StateBase* future_state() noexcept { return nullptr; }

    // Guarded by the board's mutex until the task is placed, by its drain lock after.
    std::uint64_t position = unplaced;
    BoardTask* next = nullptr;
    BoardTask* previous = nullptr;
    Message message;
    bool keep_message = false;     ///< it may have to run twice
    bool begun = false;            ///< it counts as running, whatever its word says
    bool may_throw_again = false;  ///< how it ends is asked about before it is told
    bool waits_apart = false;      ///< for its time, or its turn: see WaitingTasks
    bool has_trailer = false;      ///< its message ends with a CallTrailer
    TaskStop stop = TaskStop::no;
    int priority = 0;
    std::uint32_t attempt = 1;  ///< 2 when it runs again
    std::uint64_t turn = 0;     ///< of equal ones, the smaller is first
    std::chrono::steady_clock::time_point not_before = {};
    std::uint32_t retries = 0;  ///< so often, if its worker is lost
    TaskEnd end = TaskEnd::value;
    std::exception_ptr failure;

    /// Set when cancel() took it from the board: finish() is not called any more.
    std::atomic<bool> taken_back{false};

protected:
    ~BoardTask() = default;
};

/// What a task's future asks of the board that the task is on.
class TaskBoard {
public:
    TaskBoard() = default;
    TaskBoard(const TaskBoard&) = delete;
    TaskBoard& operator=(const TaskBoard&) = delete;

    /// True: no worker has run it and none will, and finish() will not be called.
    /// Exact: false only if a worker claimed it.
    virtual bool cancel(BoardTask& task) noexcept = 0;

    /// Stops a task that a worker has. Exact: after `yes` its future will be cancelled,
    /// after `no` it has ended or will end otherwise.
    virtual StopAnswer stop(BoardTask& task) = 0;

    /// To be called when a task that cancel() took back is finished.
    virtual void cancelled(const BoardTask& task) noexcept = 0;

    /// True while a worker has it and the program's code may have begun.
    virtual bool is_running(const BoardTask& task) const noexcept = 0;

    /// Does what a thread can do that waits for the task: looks for results, and takes
    /// them if no other thread does. True once finish() was called for the task; false
    /// at the deadline, or when all that is left to do is to sleep on its future.
    /// Throws mp::StateError in a forked child, which would wait for ever.
    virtual bool help(BoardTask& task, const mp::Deadline& deadline) = 0;

protected:
    ~TaskBoard() = default;
};

}  // namespace futures::detail
