// SPDX-License-Identifier: BSL-1.0
// ProcessTask<R>: a task of a process pool, with its future's state, in one allocation.
// Python:  concurrent.futures.process._WorkItem with its Future.
// Differs: the result stays encoded until a thread asks for it; then it is decoded
//          once, in that thread.
// Threads: any; see StateBase and BoardTask.
#pragma once

#include "futures/detail/board_task.hpp"
#include "futures/detail/recycle.hpp"
#include "futures/detail/state.hpp"
#include "futures/limits.hpp"
#include "mp/call.hpp"
#include "mp/detail/carried.hpp"
#include "mp/remote_error.hpp"
#include "mp/timeout.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace futures::detail {

class ProcessPool;

/// What a task calls, for messages: a function, or an object of a named type.
class TaskName {
public:
    template <class Fn>
    static TaskName of(const Fn& fn) noexcept {
        TaskName name;
        if constexpr (mp::detail::is_function_pointer<std::decay_t<const Fn&>>) {
            name.function_ =
                reinterpret_cast<const void*>(static_cast<std::decay_t<const Fn&>>(fn));
        } else {
            static constexpr std::string_view type = mp::detail::type_name<Fn>();
            name.type_ = type;
        }
        return name;
    }

    std::string text() const;

private:
    const void* function_ = nullptr;
    std::string_view type_;
};

/// The part of a task that does not depend on its result's type.
class PoolTask : public BoardTask {
public:
    PoolTask(std::shared_ptr<ProcessPool> pool, TaskName task_name) noexcept;

    // Set before it is submitted.
    const TaskName name;
    mp::Timeout time_limit = mp::forever;
    std::unique_ptr<const Limits> limits = {};  ///< null: the pool's

    // The manager's own.
    std::uint32_t losses = 0;  ///< how many workers died while it ran
    bool timed_out = false;    ///< its worker was killed for it
    std::optional<std::chrono::steady_clock::time_point> seen_running = {};
    std::uint64_t seen_position = unplaced;  ///< where it was seen running

protected:
    ~PoolTask() = default;

    TaskBoard& board() const noexcept { return board_; }

private:
    std::shared_ptr<ProcessPool> pool_;
    TaskBoard& board_;  ///< the pool's
};

/// Where a call is encoded: in a small buffer, or in the pool's call arena.
class CallStore final : public mp::detail::ByteStore {
public:
    explicit CallStore(ProcessPool& pool) noexcept : pool_(pool) {}

    std::span<std::byte> grow(std::span<const std::byte> written, Room room) override;

    Block take(std::size_t size) noexcept {
        block_.shorten(size);
        return std::move(block_);
    }

private:
    ProcessPool& pool_;
    Block block_;
};

/// While it lives, what this thread encodes may be what the pool's workers were given.
class GivenToPool {
public:
    explicit GivenToPool(const ProcessPool& pool) noexcept;

private:
    mp::detail::GivenScope scope_;
};

/// Throws what is being handled as SerializationError{phase}, with it as its cause and
/// `task` in its text; SystemExit and BinaryMismatch as they are.
[[noreturn]] void throw_serialization_error(
    mp::SerializationPhase phase, const std::string& task = "a task"
);

/// How a result is read from what the call wrote.
template <class R>
struct ReadResult {
    static R read(mp::detail::ByteReader& in) {
        return mp::detail::decode_result<R>(in);
    }
};

template <>
struct ReadResult<void> {};

template <class R, class Read = ReadResult<R>>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class ProcessTask : public State<R>, public PoolTask, public Recycled {
public:
    ProcessTask(std::shared_ptr<ProcessPool> pool, TaskName task_name) noexcept
        : State<R>(Settler::executor), PoolTask(std::move(pool), task_name) {}

    // -- for the board

    bool finish() noexcept override {
        switch (end) {
        case TaskEnd::value:
            return this->conclude(Outcome::raw_value);
        case TaskEnd::exception:
            return this->conclude(Outcome::raw_exception);
        case TaskEnd::failed:
            break;
        }
        this->store_exception(std::move(failure));
        return this->conclude(Outcome::exception);
    }

    void finish_callbacks() override {
        this->run_callbacks();
        this->end_telling();
    }

    void cancel_future() override {
        this->add_reference();  // the pool's goes in it, and callbacks come after that
        this->cancel();
        this->drop_reference();
    }

    bool is_finished() const noexcept override { return this->done(); }

    StateBase* future_state() noexcept override { return this; }

protected:
    ~ProcessTask() override = default;

    // -- for the future

    bool request_cancel() noexcept override { return board().cancel(*this); }

    void discard_work() noexcept override {
        board().cancelled(*this);
        this->drop_reference();  // the pool's
    }

private:
    FutureState observe() const noexcept override {
        return board().is_running(*this) ? FutureState::running : FutureState::pending;
    }

    bool wait_until_done(const mp::Deadline& deadline) override {
        return board().help(*this, deadline) || this->sleep_until(false, deadline);
    }

    void materialise() override {
        mp::detail::ByteReader in(message.bytes());
        if (end == TaskEnd::exception) {
            this->store_exception(mp::detail::decode_exception(in));
        } else {
            try {
                read_value(in);
            } catch (...) {
                message.clear();
                throw_serialization_error(mp::SerializationPhase::decode_result);
            }
        }
        message.clear();
    }

    void read_value(mp::detail::ByteReader& in) {
        if constexpr (std::is_void_v<R>) {
            this->emplace();
        } else {
            this->emplace(Read::read(in));
        }
    }
};

}  // namespace futures::detail
