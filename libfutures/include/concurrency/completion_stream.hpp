// SPDX-License-Identifier: BSL-1.0
// CompletionStream: several coroutines at once, whose outcomes come as they end.
// Python:  lionpride.libs.concurrency.CompletionStream; asyncio.as_completed is like
//          it.
// Differs: run(body) in place of `async with`, next() in place of `async for`. A body
//          that ends early cancels the rest, and a limit below 1 is ValueError. An
//          element is the index with an Outcome.
// Threads: a task of a loop, and only one loop.
// Throws:  ExceptionGroup of run(), with what failed, unless return_exceptions is set.
// Read next: concurrency/detail/pattern_task.hpp, src/concurrency/patterns/stream.cpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/group_state.hpp"
#include "concurrency/detail/pattern_task.hpp"
#include "concurrency/detail/waiter.hpp"
#include "concurrency/outcome.hpp"

#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrency {

/// How a CompletionStream runs its tasks.
struct CompletionStreamOptions {
    /// How many run at once; std::nullopt for all.
    std::optional<long> limit = std::nullopt;
    /// Whether an error is an outcome like others, instead of the end of all.
    bool return_exceptions = false;
};

namespace detail {

/// What a CompletionStream knows whatever its type.
class StreamState {
public:
    StreamState(const StreamState&) = delete;
    StreamState& operator=(const StreamState&) = delete;

    /// How many coroutines there are.
    std::size_t total() const noexcept { return total_; }

    /// How many outcomes next() has given.
    std::size_t completed() const noexcept { return given_; }

protected:
    /// Throws ValueError for a limit below 1.
    StreamState(std::size_t total, const CompletionStreamOptions& options);
    ~StreamState() = default;

    /// While run() awaits its body. Throws RuntimeError the second time.
    class Open {
    public:
        explicit Open(StreamState& stream);
        Open(const Open&) = delete;
        Open& operator=(const Open&) = delete;
        ~Open();

    private:
        StreamState& stream_;
    };

    /// A task in next(). When it goes on, the stream may be gone.
    class NextWait : public Waiter {
    public:
        explicit NextWait(LoopTask& task) noexcept
            : Waiter(task, "CompletionStream.next") {}

        bool is_left_out = false;  // the body has left, and there is more

    protected:
        ~NextWait() = default;
    };

    [[noreturn]] static void throw_not_open();

    /// next() by this task. Throws RuntimeError outside the body, or in another loop.
    void check_open(const LoopTask& task) const;

    /// For those that wait there is nothing more.
    void wake_all() noexcept;

    bool ended() const noexcept { return given_ == total_; }

    std::size_t limit() const noexcept { return limit_; }

    const std::size_t total_;
    const std::size_t limit_;
    const bool errors_too_;
    bool was_opened_ = false;
    LoopTask* task_ = nullptr;  // that runs the body
    std::size_t given_ = 0;
    List<NextWait> waiters_;
};

}  // namespace detail

/// Coroutines that run at once, all or so many at a time, while a body takes their
/// outcomes in the order in which they end:
///
///     CompletionStream<Page> pages(std::move(fetches), {.limit = 10});
///     co_await pages.run([&](auto& stream) -> Task<> {
///         while (auto page = co_await stream.next()) { use(page->first, page->second);
///         }
///     });
template <class T>
class CompletionStream : public detail::StreamState {
public:
    /// A coroutine's index among those that were given, and what came out of it.
    using value_type = std::pair<std::size_t, Outcome<T>>;

    /// Throws ValueError for a limit below 1.
    explicit CompletionStream(
        std::vector<Task<T>> tasks, CompletionStreamOptions options = {}
    )
        : StreamState(tasks.size(), options), tasks_(std::move(tasks)) {
        ready_.reserve(tasks_.size());
    }

    ~CompletionStream() = default;

    /// Starts the coroutines and awaits body(stream), which gives a Task<>; then those
    /// that still run are cancelled, and waited for, and those that have not begun
    /// never do. Once only: RuntimeError. What fails ends all of them and the body, and
    /// comes out as an ExceptionGroup, unless the options want errors as outcomes.
    template <class Body>
    Task<> run(Body&& body) {
        detail::check_awaited_callable<Body>();
        return run_body<std::decay_t<Body>>(*this, std::forward<Body>(body));
    }

    /// The next outcome; waits until there is one. Empty when all have been given.
    /// Several tasks may wait, first come, first served. Throws Cancelled, and
    /// RuntimeError when run() does not await its body.
    Task<std::optional<value_type>> next() {
        detail::LoopTask& task = detail::this_task();
        check_open(task);
        if (ended()) {
            co_return std::nullopt;
        }
        task.check_cancelled();
        if (taken_ < ready_.size()) {
            std::optional<value_type> item(std::move(ready_[taken_]));
            ++taken_;
            ++given_;
            detail::Passed passed(task);
            co_await passed;
            co_return std::move(item);
        }
        Waiting waiting(task);
        waiters_.push_back(waiting);
        co_await waiting;
        if (waiting.is_left_out) {
            throw_not_open();
        }
        co_return std::move(waiting.item);
    }

private:
    template <class U, class Owner>
    friend class detail::PatternTask;

    static constexpr const char* pattern = "CompletionStream";

    class Waiting final : public NextWait {
    public:
        using NextWait::NextWait;

        std::optional<value_type> item;
    };

    template <class Body>
    static Task<> run_body(CompletionStream& stream, Body body) {
        Open open(stream);
        detail::GroupBlock block(detail::this_task());
        stream.crew_.emplace(block, stream, stream.total());
        stream.crew_->start(stream.limit());
        std::exception_ptr error;
        try {
            co_await body(stream);
        } catch (...) {
            error = std::current_exception();
        }
        block.body_ended(std::exchange(error, nullptr));
        block.state()->scope().cancel();
        if (!block.has_tasks()) {
            co_await detail::Yield();  // as at the end of every group
        }
        while (block.has_tasks()) {
            detail::GroupBlock::Rest rest(block, "CompletionStream");
            co_await rest;
        }
        block.leave();
    }

    // Those that wait for room find, when there is some, that nobody wants them.
    Task<T> open(std::size_t index) {
        if (index >= limit()) {
            detail::this_task().check_cancelled();
        }
        return std::move(tasks_[index]);
    }

    std::exception_ptr close(std::size_t index, Outcome<T> outcome) noexcept {
        std::optional<Outcome<T>> kept;
        if (std::exception_ptr error =
                detail::keep(kept, std::move(outcome), errors_too_)) {
            return error;
        }
        try {
            give(value_type(index, std::move(*kept)));
        } catch (...) {
            return std::current_exception();
        }
        return nullptr;
    }

    void give(value_type item) {
        if (waiters_.empty()) {
            ready_.push_back(std::move(item));
            return;
        }
        auto& waiting = static_cast<Waiting&>(waiters_.front());
        waiting.item.emplace(std::move(item));
        waiting.unlink();
        ++given_;
        waiting.task().wake();
        if (ended()) {
            wake_all();
        }
    }

    std::exception_ptr start_next() noexcept { return crew_->start_next(); }

    std::vector<Task<T>> tasks_;
    std::vector<value_type> ready_;  // never grows beyond what it has room for
    std::size_t taken_ = 0;          // of those
    std::optional<detail::Crew<T, CompletionStream>> crew_;
};

}  // namespace concurrency
